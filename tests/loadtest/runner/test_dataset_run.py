"""Whole runs on a file of conversations, with one client process and several, and what is refused before a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.loadtest.answers import DONE, event, usage
from tests.loadtest.paced import paced
from tests.loadtest.programs import loadtest, quick, read_report, run_all, under_locust


def conversations(path: Path, count: int, answer: int = 24) -> Path:
    """Two turns each, the second answer twice as long: 6 and 12 tokens."""
    said = [{"from": "system", "value": "Answer shortly."}, {"from": "human", "value": ""}]
    said += [{"from": "gpt", "value": "a" * answer}, {"from": "human", "value": "Why?"}]
    said += [{"from": "gpt", "value": "b" * 2 * answer}]
    entries = [{"id": n, "conversations": [dict(each) for each in said]} for n in range(count)]
    for number, entry in enumerate(entries):
        entry["conversations"][1]["value"] = f"question number {number}"  # type: ignore[index]
    path.write_text(json.dumps(entries))
    return path


def words(url: str, out: Path, file: Path, **more: object) -> list[str]:
    made = quick(url, out, dataset=file, **more)
    for option in ("--max-tokens", "--prompt-tokens"):
        at = made.index(option)
        del made[at : at + 2]
    return made


def rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [dict(zip(report["records"]["columns"], row, strict=True)) for row in report["records"]["rows"]]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_file_is_asked_turn_by_turn_with_answers_as_long_as_its_own(
    engine: tuple[str, int], tmp_path: Path, processes: int
) -> None:
    file = conversations(tmp_path / "talks.json", 6)
    done = loadtest(*words(engine[0], tmp_path / "out", file, processes=processes))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    report = read_report(tmp_path / "out")
    one, three = report["stages"]
    assert [stage["planned"] for stage in (one, three)] == [4, 12] and one["complete"] and three["complete"]
    assert {(row["turn"], row["output_tokens"], row["max_tokens"]) for row in rows(report)} == {(1, 6, 6), (2, 12, 12)}
    told = report["workload"]
    assert (told["source"], told["file"], told["conversations"], told["whole_file"]) == (
        "dataset",
        "talks.json",
        6,
        True,
    )
    assert report["arguments"]["workload"].startswith("talks.json (")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Asked: 6 conversations of talks.json. Prefix cache: nothing is served from an earlier run" in page
    assert f"  3 users: {three['client']['usage']['prompt_tokens']:,} prompt tokens, " in done.stdout


def test_an_open_loop_asks_the_file_too(engine: tuple[str, int], tmp_path: Path) -> None:
    file = conversations(tmp_path / "talks.json", 50)
    done = loadtest(*words(engine[0], tmp_path / "out", file, mode="open", rates="10", seconds=1, max_lag_ms=5000))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    report = read_report(tmp_path / "out")
    assert report["stages"][0]["planned"] == len(rows(report)) == 2 * len({row["user"] for row in rows(report)}) > 0


def test_what_a_server_gets_is_the_files_text_with_a_word_of_its_own_before_it(tmp_path: Path) -> None:
    asked: list[dict[str, Any]] = []

    def script(body: dict[str, Any]) -> list[tuple[float, bytes]]:
        return [(0.0, event("Because.", "length") + usage(9, body["max_tokens"]) + DONE)]

    file = conversations(tmp_path / "talks.json", 2)
    with paced(script, asked) as url:
        made = words(url, tmp_path / "out", file, users="2", requests_per_user=1, warmup=0)
        assert under_locust(run_all, [made])[0][0] == 0
    turns = [body for body in asked if body["messages"][0]["content"].endswith("Answer shortly.")]
    assert sorted(len(body["messages"]) for body in turns) == [2, 2, 4, 4]
    [last, _] = [body for body in turns if len(body["messages"]) == 4]
    assert [message["role"] for message in last["messages"]] == ["system", "user", "assistant", "user"]
    assert [message["content"] for message in last["messages"]][2:] == ["Because.", "Why?"]
    assert (last["max_tokens"], last["min_tokens"], last["ignore_eos"]) == (12, 12, True)
    assert len({body["messages"][0]["content"] for body in turns}) == 1, "what the file shares is shared in a pass"
    assert {body["messages"][1]["content"] for body in turns} == {"question number 0", "question number 1"}


@pytest.mark.parametrize(
    ("text", "more", "expected"),
    [
        ("", (), "no conversation in it"),
        ("hello", (), "not JSON at conversation 1: write an object"),
        ('{"prompt": "x"}', (), "'conversations' (ShareGPT); it has prompt"),
        (None, (), "no such file"),
        ('{"messages": [{"role": "user", "content": "x"}]}', ("--prompt-tokens", "5"), "the file decides the prompts"),
        ('{"messages": [{"role": "user", "content": "x"}]}', ("--dataset-limit", "0"), "not a whole number"),
    ],
)
def test_a_file_that_is_none_ends_the_run_in_one_line(
    text: str | None, more: tuple[str, ...], expected: str, tmp_path: Path
) -> None:
    file = tmp_path / "data.json"
    if text is not None:
        file.write_text(text)
    done = loadtest(
        "run", "--base-url", "http://127.0.0.1:9", "--model", "m", "--out", tmp_path, "--dataset", file, *more
    )
    assert done.returncode == 2 and done.stdout == ""
    assert expected in done.stderr and done.stderr.count("\n") == 1, done.stderr
    alone = loadtest("run", "--base-url", "http://127.0.0.1:9", "--model", "m", "--dataset-limit", 5, "--out", tmp_path)
    assert (alone.returncode, alone.stderr) == (2, "loadtest: --dataset-limit needs --dataset\n")
