"""Whatever a server does, a run counts it and names it: never a traceback, never a silent zero."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.loadtest.answers import DONE, event, usage
from tests.loadtest.moody import Mood, good, moody, refused
from tests.loadtest.programs import loadtest, quick, read_report


def run(mood: Mood, out: Path, *words: str, **options: Any) -> tuple[int, dict[str, Any], str]:
    """Exit code, the only stage, stdout of a run: 2 users, 2 requests each, 8 tokens, no warm-ups."""
    with moody(mood) as url:
        done = loadtest(*quick(url, out, **{"users": "2", "warmup": 0} | options), *words)
    assert done.stderr == ""
    [stage] = read_report(out)["stages"]
    return done.returncode, stage, done.stdout


def test_a_storm_of_refusals_is_counted_apart_and_makes_the_run_invalid(tmp_path: Path) -> None:
    code, stage, said = run(lambda *_: refused(None), tmp_path)
    client = stage["client"]
    assert code == 3 and "Not one good answer" in said
    assert (client["failures"], client["refusals"], client["retried"]) == ({"429": 4}, {"429": 4}, 0)
    assert client["ttft_ms"] is None and client["output_tokens_per_s"] is None


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


def test_retry_after_is_obeyed_when_asked_and_the_wait_is_in_the_lived_times(tmp_path: Path) -> None:
    code, stage, _ = run(first_time_refused(0.3), tmp_path, "--obey-retry-after")
    client = stage["client"]
    assert (code, client["failures"], client["good"]) == (0, {}, 4)
    assert (client["refusals"], client["retried"]) == ({"429": 4}, 4)
    assert client["waited_s"] == pytest.approx(1.2)
    assert client["ttft_from_plan_ms"]["p50"] >= 300 > client["ttft_ms"]["p50"]
    assert client["total_time_s"] >= 0.6
    columns = read_report(tmp_path)["records"]["columns"]
    rows = [dict(zip(columns, row, strict=True)) for row in read_report(tmp_path)["records"]["rows"]]
    assert {(tuple(row["refusals"]), row["waited_us"]) for row in rows} == {((429,), 300_000)}


def test_a_refusal_is_final_unless_asked_otherwise_or_when_the_wait_is_too_long(tmp_path: Path) -> None:
    _, plain, _ = run(first_time_refused(0.1), tmp_path / "plain")
    _, long, _ = run(first_time_refused(50), tmp_path / "long", "--obey-retry-after", "1")
    for stage in (plain, long):
        assert stage["client"]["failures"] == {"429": 4} and stage["client"]["waited_s"] == 0


def test_a_server_that_says_zero_seconds_for_ever_is_not_stormed(tmp_path: Path) -> None:
    asked = []

    def mood(number: int, _body: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        asked.append(number)
        return refused(0)

    _, stage, _ = run(mood, tmp_path, "--obey-retry-after", "1", users="1", requests_per_user=1)
    assert stage["client"]["failures"] == {"429": 1}
    assert 5 <= len(asked) <= 33, "the probe and the request: ten tries a second, for one second each"


def test_a_stream_without_usage_is_good_and_said(tmp_path: Path) -> None:
    code, stage, _ = run(lambda _, body: good(body, with_usage=False), tmp_path)
    client = stage["client"]
    assert (code, client["good"], client["no_usage"]) == (0, 4, 4)
    assert client["output_tokens"] == 32, "text events are counted instead"


@pytest.mark.parametrize(("tokens", "name"), [(20, "too_long"), (3, "too_short")])
def test_a_server_that_ignores_max_tokens_is_said(tmp_path: Path, tokens: int, name: str) -> None:
    _, stage, _ = run(lambda _, body: good(body, tokens), tmp_path)
    client = stage["client"]
    assert client[name] == 4 and client["too_long"] + client["too_short"] == 4
    assert client["output_tokens_mean"] == tokens


def test_bytes_that_are_no_text_have_a_class_of_their_own(tmp_path: Path) -> None:
    broken = event("a").replace(b'"a"', b'"\xff\xfe"') + event("", "stop") + usage(5, 1) + DONE
    code, stage, said = run(lambda *_: (200, {}, broken), tmp_path)
    assert (code, stage["client"]["failures"]) == (3, {"not UTF-8": 4})
    assert "4 of 4 failed (4 not UTF-8)" in said


def test_text_of_all_languages_is_text(tmp_path: Path) -> None:
    words = event("Füße 猫\u2028") + event("🙂", "length") + usage(5, 2) + DONE
    code, stage, _ = run(lambda *_: (200, {}, words), tmp_path, max_tokens=2)
    assert (code, stage["client"]["failures"], stage["client"]["output_tokens"]) == (0, {}, 8)


@pytest.mark.parametrize(("status", "name"), [(401, "401"), (403, "403"), (404, "404"), (418, "4xx"), (500, "5xx")])
def test_a_server_that_turns_bad_after_the_check_is_named(tmp_path: Path, status: int, name: str) -> None:
    def mood(number: int, body: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        return good(body) if number < 2 else (status, {}, b'{"error": {"message": "because"}}')

    code, stage, said = run(mood, tmp_path)
    assert (code, stage["client"]["failures"]) == (3, {name: 4})
    assert "Traceback" not in said


def test_a_workload_with_two_keys_needs_two(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("one\n")
    with moody(lambda _, body: good(body)) as url:
        words = ["run", "--base-url", url, "--model", "tiny", "--workload", "mixed", "--out", tmp_path]
        done = loadtest(*words, "--api-key-file", tmp_path / "keys")
    assert done.returncode == 2
    assert done.stderr == "loadtest: --api-key-file: the workload 'mixed' needs 2 keys, and server has 1\n"
