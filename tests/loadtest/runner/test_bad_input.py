"""Whatever a server does, a run counts it and names it: never a traceback, never a silent zero.

The runs share two processes, one after the other: what costs time is importing Locust, and it proves nothing twice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.loadtest.answers import DONE, event, usage
from tests.loadtest.moody import Mood, good, moody, refused
from tests.loadtest.programs import quick, read_report, run_all, under_locust


@dataclass(frozen=True)
class Scenario:
    """A server, and what the run against it adds to: 2 users, 2 requests each, 8 tokens, no warm-ups."""

    mood: Mood
    words: tuple[str, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Ran:
    code: int
    said: str
    report: dict[str, Any]

    @property
    def stage(self) -> dict[str, Any]:
        [stage] = self.report["stages"]
        return dict(stage)

    @property
    def client(self) -> dict[str, Any]:
        return dict(self.stage["client"])


def first_time_refused(seconds: float) -> Mood:
    """After the two probes each prompt is refused once."""
    seen: set[str] = set()

    def mood(number: int, body: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        prompt = body["messages"][-1]["content"]
        if number < 2 or prompt in seen:
            return good(body)
        seen.add(prompt)
        return refused(seconds)

    return mood


class Zero:
    """Refuses for ever, and names no seconds to wait; counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, _number: int, _body: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        self.asked += 1
        return refused(0)


def turns(status: int) -> Mood:
    """Good until the two probes are over."""

    def mood(number: int, body: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        return good(body) if number < 2 else (status, {}, b'{"error": {"message": "because"}}')

    return mood


ZERO = Zero()
NO_TEXT = event("a").replace(b'"a"', b'"\xff\xfe"') + event("", "stop") + usage(5, 1) + DONE
LANGUAGES = event("Füße 猫\u2028") + event("🙂", "length") + usage(5, 2) + DONE
STATUSES = {401: "401", 403: "403", 404: "404", 418: "4xx", 500: "5xx"}
SCENARIOS = {
    "storm": Scenario(lambda *_: refused(None)),
    "obeyed": Scenario(first_time_refused(0.3), ("--obey-retry-after",)),
    "plain": Scenario(first_time_refused(0.1)),
    "long": Scenario(first_time_refused(50), ("--obey-retry-after", "1")),
    "zero": Scenario(ZERO, ("--obey-retry-after", "1"), {"users": "1", "requests_per_user": 1}),
    "no usage": Scenario(lambda _, body: good(body, with_usage=False)),
    "too_long": Scenario(lambda _, body: good(body, 20)),
    "too_short": Scenario(lambda _, body: good(body, 3)),
    "no text": Scenario(lambda *_: (200, {}, NO_TEXT)),
    "languages": Scenario(lambda *_: (200, {}, LANGUAGES), options={"max_tokens": 2}),
    **{str(status): Scenario(turns(status)) for status in STATUSES},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ran]:
    folder = tmp_path_factory.mktemp("runs")
    words = []
    with contextlib.ExitStack() as servers:
        for name, one in SCENARIOS.items():
            url = servers.enter_context(moody(one.mood))
            words.append([*quick(url, folder / name, **{"users": "2", "warmup": 0} | dict(one.options)), *one.words])
        half = len(words) // 2
        ended = under_locust(run_all, words[:half]) + under_locust(run_all, words[half:])
    assert [errors for _, _, errors in ended] == [""] * len(SCENARIOS)
    return {
        name: Ran(code, out, read_report(folder / name)) for name, (code, out, _) in zip(SCENARIOS, ended, strict=True)
    }


def test_a_storm_of_refusals_is_counted_apart_and_makes_the_run_invalid(runs: dict[str, Ran]) -> None:
    client = runs["storm"].client
    assert runs["storm"].code == 3 and "Not one good answer" in runs["storm"].said
    assert (client["failures"], client["refusals"], client["retried"]) == ({"429": 4}, {"429": 4}, 0)
    assert client["ttft_ms"] is None and client["output_tokens_per_s"] is None


def test_retry_after_is_obeyed_when_asked_and_the_wait_is_in_the_lived_times(runs: dict[str, Ran]) -> None:
    client, records = runs["obeyed"].client, runs["obeyed"].report["records"]
    assert (runs["obeyed"].code, client["failures"], client["good"]) == (0, {}, 4)
    assert (client["refusals"], client["retried"]) == ({"429": 4}, 4)
    assert client["waited_s"] == pytest.approx(1.2)
    assert client["ttft_from_plan_ms"]["p50"] >= 300 > client["ttft_ms"]["p50"]
    assert client["total_time_s"] >= 0.6
    rows = [dict(zip(records["columns"], row, strict=True)) for row in records["rows"]]
    assert {(tuple(row["refusals"]), row["waited_us"]) for row in rows} == {((429,), 300_000)}


@pytest.mark.parametrize("name", ["plain", "long"])
def test_a_refusal_is_final_unless_asked_otherwise_or_when_the_wait_is_too_long(
    runs: dict[str, Ran], name: str
) -> None:
    assert runs[name].client["failures"] == {"429": 4} and runs[name].client["waited_s"] == 0


def test_a_server_that_says_zero_seconds_for_ever_is_not_stormed(runs: dict[str, Ran]) -> None:
    assert runs["zero"].client["failures"] == {"429": 1}
    assert 5 <= ZERO.asked <= 33, "the probe and the request: ten tries a second, for one second each"


def test_a_stream_without_usage_is_good_and_said(runs: dict[str, Ran]) -> None:
    client = runs["no usage"].client
    assert (runs["no usage"].code, client["good"], client["no_usage"]) == (0, 4, 4)
    assert client["output_tokens"] == 32, "text events are counted instead"


@pytest.mark.parametrize(("tokens", "name"), [(20, "too_long"), (3, "too_short")])
def test_a_server_that_ignores_max_tokens_is_said(runs: dict[str, Ran], tokens: int, name: str) -> None:
    client = runs[name].client
    assert client[name] == 4 and client["too_long"] + client["too_short"] == 4
    assert client["output_tokens_mean"] == tokens


def test_bytes_that_are_no_text_have_a_class_of_their_own(runs: dict[str, Ran]) -> None:
    assert (runs["no text"].code, runs["no text"].client["failures"]) == (3, {"not UTF-8": 4})
    assert "4 of 4 failed (4 not UTF-8)" in runs["no text"].said


def test_text_of_all_languages_is_text(runs: dict[str, Ran]) -> None:
    client = runs["languages"].client
    assert (runs["languages"].code, client["failures"], client["output_tokens"]) == (0, {}, 8)


@pytest.mark.parametrize(("status", "name"), STATUSES.items())
def test_a_server_that_turns_bad_after_the_check_is_named(runs: dict[str, Ran], status: int, name: str) -> None:
    ran = runs[str(status)]
    assert (ran.code, ran.client["failures"]) == (3, {name: 4})
    assert "Traceback" not in ran.said


def test_a_workload_with_two_keys_needs_two(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("one\n")
    words = [
        "run",
        "--base-url",
        "http://127.0.0.1:9",
        "--model",
        "tiny",
        "--workload",
        "mixed",
        "--out",
        str(tmp_path),
    ]
    [(code, _, errors)] = under_locust(run_all, [[*words, "--api-key-file", str(tmp_path / "keys")]])
    assert code == 2
    assert errors == "loadtest: --api-key-file: the workload 'mixed' needs 2 keys, and server has 1\n"
