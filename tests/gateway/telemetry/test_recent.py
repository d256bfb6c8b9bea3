"""The last requests of each key: bounded, and without texts."""

from __future__ import annotations

from gateway.core.call import Principal, Usage
from gateway.core.record import RequestRecord
from gateway.telemetry.recent import KEPT, MAX_KEYS, Recent


def record(name: str, number: int = 0) -> RequestRecord:
    made = RequestRecord(f"req-{number}", 1.0)
    made.principal, made.endpoint, made.model, made.outcome = Principal(name), "/v1/completions", "tiny", "ok"
    made.usage = Usage(prompt_tokens=3, completion_tokens=number)
    return made


def test_the_newest_come_first_and_the_oldest_go() -> None:
    recent = Recent()
    for number in range(KEPT + 5):
        recent.add(record("alice", number), 200, 0.5)
    found = recent.of("alice")
    assert len(found) == KEPT
    assert [found[0][1], found[-1][1]] == [f"req-{KEPT + 4}", "req-5"]
    assert found[0][2:7] == ("/v1/completions", "tiny", 200, "ok", 0.5)
    assert found[0][9:] == (3, KEPT + 4)
    assert recent.of("bob") == []


def test_of_many_keys_the_one_that_was_quiet_for_longest_is_forgotten() -> None:
    recent = Recent()
    for number in range(MAX_KEYS):
        recent.add(record(f"key{number}"), 200, 0.1)
    recent.add(record("key0"), 200, 0.1)
    recent.add(record("new"), 200, 0.1)
    assert len(recent.of("key0")) == 2 and len(recent.of("new")) == 1
    assert recent.of("key1") == []


def test_nobodys_requests_are_not_kept() -> None:
    recent = Recent()
    recent.add(RequestRecord("req-1", 0.0), 401, 0.0)
    assert recent.of("") == []
