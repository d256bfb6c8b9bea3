"""What each workload and mode sends, seen from the server and from the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.loadtest import moody as moods
from tests.loadtest.moody import good, moody
from tests.loadtest.programs import loadtest, quick, read_report

Body = dict[str, Any]


def asked(out: Path, *words: str, **options: Any) -> tuple[list[Body], dict[str, Any]]:
    """What a server was asked after the two probes, and the report."""
    bodies: list[Body] = []

    def mood(_number: int, body: Body) -> tuple[int, dict[str, str], bytes]:
        bodies.append(body)
        return good(body)

    with moody(mood) as url:
        done = loadtest(*quick(url, out, **{"warmup": 0} | options), *words)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return bodies[2:], read_report(out)


def mine(out: Path, kinds: str, arrivals: str = "{users: [2], requests_per_user: 1}") -> Path:
    path = out / "mine.yaml"
    path.write_text(f"version: 1\ndescription: mine\nkinds: [{kinds}]\narrivals: {arrivals}\n")
    return path


def plain(url: str, out: Path, *words: object) -> dict[str, Any]:
    """A run by the workload's own lengths and arrivals."""
    given = ["run", "--base-url", url, "--model", "tiny", "--out", out, "--warmup", 0, "--max-lag-ms", 5000]
    done = loadtest(*given, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return read_report(out)


def test_a_conversation_sends_the_models_own_words_back(tmp_path: Path) -> None:
    kinds = "{name: talk, system_tokens: 30, prompt_tokens: 20, output_tokens: 4, turns: 3, think_s: 0.2}"
    bodies: list[Body] = []

    def mood(_number: int, body: Body) -> tuple[int, dict[str, str], bytes]:
        bodies.append(body)
        return good(body)

    with moody(mood) as url:
        report = plain(url, tmp_path, "--workload", mine(tmp_path, kinds, "{users: [1], requests_per_user: 2}"))
    turns = [[message["role"] for message in body["messages"]] for body in bodies[2:]]
    whole = ["system", "user", "assistant", "user", "assistant", "user"]
    assert turns == [whole[:2], whole[:4], whole] * 2
    assert {body["messages"][2]["content"] for body in bodies[3:5]} == {"aaaz"}
    assert len({body["messages"][0]["content"] for body in bodies[2:]}) == 1
    [stage] = report["stages"]
    assert (stage["planned"], stage["client"]["good"], stage["complete"]) == (6, 6, True)
    columns = report["records"]["columns"]
    rows = [dict(zip(columns, row, strict=True)) for row in report["records"]["rows"]]
    assert [(row["index"], row["turn"], row["kind"]) for row in rows] == [
        (index, turn, "talk") for index in range(2) for turn in (1, 2, 3)
    ]
    for before, after in zip(rows, rows[1:], strict=False):
        pause = after["plan_us"] - before["end_us"]
        assert pause == pytest.approx(200_000 if after["turn"] > 1 else 0, abs=2)


def test_kinds_have_their_share_their_key_and_their_own_numbers(tmp_path: Path) -> None:
    kinds = "{name: light, weight: 3, prompt_tokens: 20, output_tokens: 4}, "
    kinds += "{name: heavy, key: 2, prompt_tokens: 90, output_tokens: 12}"
    (tmp_path / "keys").write_text("fb-one\nfb-two\n")
    with moody(lambda _, body: good(body)) as url:
        workload = mine(tmp_path, kinds, "{users: [4], requests_per_user: 2}")
        report = plain(url, tmp_path, "--workload", workload, "--api-key-file", tmp_path / "keys")
    [stage] = report["stages"]
    parts = {name: (part["good"], part["output_tokens"]) for name, part in stage["by_kind"].items()}
    assert parts == {"light": (6, 24), "heavy": (2, 24)}
    columns = report["records"]["columns"]
    rows = [dict(zip(columns, row, strict=True)) for row in report["records"]["rows"]]
    assert {(row["kind"], row["key"], row["max_tokens"]) for row in rows} == {("light", 1, 4), ("heavy", 2, 12)}
    assert "fb-one" not in (tmp_path / "report.json").read_text()


def test_a_burst_is_one_request_of_each_user(tmp_path: Path) -> None:
    bodies, report = asked(tmp_path, workload="burst", users="3,5", requests_per_user=9)
    assert len(bodies) == 8
    assert [stage["label"] for stage in report["stages"]] == ["burst of 3", "burst of 5"]
    assert [stage["requests_per_user"] for stage in report["stages"]] == [1, 1]


def test_a_soak_goes_on_until_its_time_is_over_and_lets_answers_end(tmp_path: Path) -> None:
    _, report = asked(tmp_path, mode="soak", users="2", seconds=1)
    [stage] = report["stages"]
    assert (stage["label"], stage["planned"], stage["complete"]) == ("2 users for 1 s", None, True)
    assert stage["client"]["requests"] > 2 and stage["client"]["failures"] == {}
    assert stage["client"]["total_time_s"] >= 0.9


def test_repeats_ask_anew_and_are_stages_of_their_own(tmp_path: Path) -> None:
    bodies, report = asked(tmp_path, users="1,2", requests_per_user=1, repeats=2)
    assert [(stage["repeat"], stage["position"]) for stage in report["stages"]] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert len({body["messages"][0]["content"] for body in bodies}) == len(bodies) == 6


def test_two_sides_get_the_same_prompts_but_for_the_first_word(tmp_path: Path) -> None:
    seen: dict[str, list[Body]] = {"a": [], "b": []}

    def mood(name: str) -> Any:
        def say(number: int, body: Body) -> tuple[int, dict[str, str], bytes]:
            if number > 1:
                seen[name].append(body)
            return good(body)

        return say

    with moody(mood("a")) as left, moody(mood("b")) as right:
        words = ["compare", f"a={left}", f"b={right},model=tiny", "--users", "2", "--requests-per-user", "2"]
        done = loadtest(*words, "--warmup", 0, "--max-lag-ms", 5000, "--max-tokens", 6, "--out", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [stage["side"] for stage in read_report(tmp_path)["stages"]] == ["a", "b"]
    texts = {name: {body["messages"][0]["content"] for body in bodies} for name, bodies in seen.items()}
    tails = [{text.partition(" ")[2] for text in each} for each in texts.values()]
    assert tails[0] == tails[1] and len(tails[0]) == 4
    assert not texts["a"] & texts["b"]


@pytest.mark.parametrize(
    ("sides", "expected"),
    [
        (["a=http://127.0.0.1:9"], "name two or more sides"),
        (["a=http://127.0.0.1:9", "a=http://127.0.0.1:9"], "two sides are called 'a'"),
        (["a=ftp://x", "b=http://127.0.0.1:9"], "a: 'ftp://x' is not an http:// or https:// address"),
    ],
)
def test_sides_that_make_no_comparison_are_refused(tmp_path: Path, sides: list[str], expected: str) -> None:
    done = loadtest("compare", *sides, "--out", tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert expected in done.stderr


def test_the_plan_is_shown_without_asking_anybody(tmp_path: Path) -> None:
    words = ["compare", "a=http://127.0.0.1:9", "b=http://127.0.0.1:9", "--users", "1", "--repeats", "2"]
    done = loadtest(*words, "--plan", "--out", tmp_path / "none")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split("\n")[:4] == [
        "   1  a, 1 user, repeat 1",
        "   2  b, 1 user, repeat 1",
        "   3  b, 1 user, repeat 2",
        "   4  a, 1 user, repeat 2",
    ]
    assert not (tmp_path / "none").exists()


TWO = b'{"object": "list", "data": [{"id": "tiny"}, {"id": "other"}]}'
SHARES = (
    "{name: chat, prompt_tokens: 20, output_tokens: 4, weight: 3, model: tiny}, "
    "{name: search, prompt_tokens: 30, output_tokens: 2, model: other}"
)


def test_several_models_get_their_shares_and_are_reported_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moods, "MODELS", TWO)
    bodies: list[Body] = []

    def mood(_number: int, body: Body) -> tuple[int, dict[str, str], bytes]:
        bodies.append(body)
        return good(body)

    with moody(mood) as url:
        file = mine(tmp_path, SHARES, "{users: [4], requests_per_user: 2}")
        words = ("run", "--base-url", url, "--out", tmp_path, "--warmup", 0, "--max-lag-ms", 5000, "--workload", file)
        done = loadtest(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        (stage,), page = read_report(tmp_path)["stages"], (tmp_path / "report.html").read_text()
        monkeypatch.setattr(moods, "MODELS", TWO.replace(b"other", b"third"))
        refused = loadtest(*words)
    models = [body["model"] for body in bodies[2:]]
    assert (models.count("tiny"), models.count("other")) == (6, 2)
    assert {model: part["requests"] for model, part in stage["by_model"].items()} == {"tiny": 6, "other": 2}
    assert "4 users: other: 2 requests, 0 failed, " in done.stdout
    assert "<h2>By model</h2>" in page and "<h2>By kind of request</h2>" in page
    assert refused.returncode == 2
    assert refused.stderr.strip().endswith("--model: 'other' is not served at " + f"{url}; it serves: tiny, third")


def test_a_trace_is_replayed_at_its_times_in_any_number_of_processes(tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    rows = [{"at_s": 0.2 * at, "prompt_tokens": 20 + at, "output_tokens": 2 + at} for at in range(6)]
    trace.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for processes in (1, 2):
        bodies: list[Body] = []

        def mood(_number: int, body: Body, bodies: list[Body] = bodies) -> tuple[int, dict[str, str], bytes]:
            bodies.append(body)
            return good(body)

        with moody(mood) as url:
            options = ("--trace", trace, "--mode", "replay", "--rates", "2", "--processes", processes)
            report = plain(url, tmp_path, *options)
        assert sorted(body["max_tokens"] for body in bodies[2:]) == [2, 3, 4, 5, 6, 7]
        (stage,) = report["stages"]
        assert (stage["label"], stage["mode"], stage["client"]["good"]) == ("replayed 2 times as fast", "replay", 6)
        at = report["records"]["columns"].index("plan_us")
        planned = sorted(row[at] for row in report["records"]["rows"])
        assert [round((one - planned[0]) / 1e6, 2) for one in planned] == [0, 0.1, 0.2, 0.3, 0.4, 0.5]
        assert report["workload"]["source"] == "trace"


def test_only_a_trace_is_replayed(tmp_path: Path) -> None:
    done = loadtest("run", "--base-url", "http://127.0.0.1:1", "--out", tmp_path, "--mode", "replay")
    assert done.returncode == 2 and "only a trace knows when its requests came" in done.stderr


def test_two_parts_of_a_workload_are_near_each_other_and_not_the_same(tmp_path: Path) -> None:
    tuned, _ = asked(tmp_path, "--part", "tuned", users=1, prompt_tokens=40, max_tokens=10)
    held, _ = asked(tmp_path, "--part", "held-out", users=1, prompt_tokens=40, max_tokens=10)
    words = [len(body["messages"][0]["content"].split()) for body in (tuned[0], held[0])]
    assert words[1] == pytest.approx(1.25 * words[0], abs=2)
    assert (tuned[0]["max_tokens"], held[0]["max_tokens"]) == (10, 8)
