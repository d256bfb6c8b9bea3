"""Recorded conversations as a source of requests."""

from __future__ import annotations

import json
import pickle
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loadtest.core.errors import UsageProblem
from loadtest.workload.dataset import Dataset, DatasetChoice, read_dataset
from loadtest.workload.registry import make_source
from loadtest.workload.schema import read_workload
from loadtest.workload.source import Lengths, Place
from loadtest.workload.texts import RunTexts

RUN = RunTexts("one")


def entry(*texts: str, system: str = "Shared by all") -> dict[str, Any]:
    said = [{"role": role, "content": text} for role, text in zip(("user", "assistant") * 9, texts, strict=False)]
    return {"messages": [{"role": "system", "content": system}, *said]}


def dataset(tmp_path: Path, entries: Sequence[dict[str, Any]], **choice: Any) -> Dataset:
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(map(json.dumps, entries)))
    return read_dataset(DatasetChoice(path, **choice))


TEN = [entry(f"question {number}", "a" * 40, "and then?", "b" * 80) for number in range(10)]


def opening(source: Dataset, place: Place, run: RunTexts = RUN) -> list[str]:
    return [message["content"] for message in source.conversation(place, run).turn(1).messages]


def test_users_go_through_the_file_and_each_conversation_is_asked_as_often(tmp_path: Path) -> None:
    source = dataset(tmp_path, TEN)
    closed = [opening(source, Place("1", user, 5, index))[1] for index in range(2) for user in range(5)]
    arrivals = [opening(source, Place("1", number))[1] for number in range(10)]
    assert sorted(closed) == sorted(arrivals) == [f"question {number}" for number in range(10)]
    assert arrivals != sorted(arrivals), "a file that is sorted is not asked in its order"
    again = dataset(tmp_path, TEN)
    assert arrivals == [opening(again, Place("1", number))[1] for number in range(10)]


def test_answers_are_about_as_long_as_the_recorded_ones(tmp_path: Path) -> None:
    made = dataset(tmp_path, TEN[:1]).conversation(Place("1", 0), RUN)
    assert (made.turns, made.key) == (2, 1)
    assert [(made.turn(n).output_tokens, made.turn(n).exact) for n in (1, 2)] == [(10, True), (20, True)]
    assert [message["content"] for message in made.turn(2).messages] == ["and then?"]
    unanswered = dataset(tmp_path, [entry("only a question")]).conversation(Place("1", 0), RUN).turn(1)
    assert (unanswered.output_tokens, unanswered.exact) == (256, False)
    fixed = dataset(tmp_path, [entry("only a question")], max_tokens=7)
    assert fixed.conversation(Place("1", 0), RUN).turn(1).output_tokens == 7
    assert fixed.lengths == Lengths(7, 7, True)


def test_nothing_is_served_from_what_another_run_side_stage_or_pass_left_in_a_cache(tmp_path: Path) -> None:
    source = dataset(tmp_path, TEN)
    places = [
        Place(stage, number, 10, index) for stage in ("1-1", "1-2", "warmup-1-1") for index in (0, 1) for number in (3,)
    ]
    runs = (RUN, RunTexts("two"), RunTexts("one", "side"))
    first = [opening(source, place, run)[0] for run in runs for place in places]
    assert len({text.split()[0] for text in first}) == len(first) == 18
    assert {text.partition(" ")[2] for text in first} == {"Shared by all"}


def test_what_the_conversations_of_a_file_share_is_shared_within_a_pass(tmp_path: Path) -> None:
    source = dataset(tmp_path, TEN)
    assert len({opening(source, Place("1", number, 10))[0] for number in range(10)}) == 1


def test_turns_beyond_the_context_are_left_out(tmp_path: Path) -> None:
    entries = [entry("x" * 40, "y" * 40, "z" * 400, "y"), entry("x" * 4000, "y")]
    source = dataset(tmp_path, entries, context=50)
    assert source.conversation(Place("1", 0), RUN).turns == 1
    assert (source.describe()["conversations"], source.describe()["left_out"]) == (1, 1)
    with pytest.raises(UsageProblem, match="no conversation fits into --dataset-context 5"):
        dataset(tmp_path, entries, context=5)


def test_another_process_gets_the_name_of_the_file_and_reads_it_itself(tmp_path: Path) -> None:
    source = dataset(tmp_path, [entry("q" * 100_000, "a" * 100) for _ in range(20)])
    sent = pickle.dumps(source)
    assert len(sent) < 1000
    there = pickle.loads(sent)
    assert there == source and there.recorded == source.recorded
    (tmp_path / "data.jsonl").write_text(json.dumps(entry("another", "a")))
    with pytest.raises(UsageProblem, match="the file has changed since the run began"):
        pickle.loads(sent)


def test_two_reports_have_one_name_where_they_asked_the_same(tmp_path: Path) -> None:
    names = [dataset(tmp_path, entries).name for entries in (TEN, TEN, TEN[:9])]
    assert names[0] == names[1] != names[2] and names[0].startswith("data.jsonl (")


def test_the_report_says_what_was_taken_and_that_no_run_serves_another(tmp_path: Path) -> None:
    told = dataset(tmp_path, TEN, most=4).describe()
    assert (told["source"], told["file"], told["conversations"], told["turns"]) == ("dataset", "data.jsonl", 4, 8)
    assert not told["whole_file"] and "nothing is served from an earlier run" in told["prefix_cache"]
    json.dumps(told)


def options(path: Path, **given: Any) -> Namespace:
    defaults = dict.fromkeys(("max_tokens", "prompt_tokens", "dataset_limit", "dataset_context"))
    return Namespace(**(defaults | {"dataset": str(path)} | given))


def test_the_command_line_chooses_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset(tmp_path, TEN)
    monkeypatch.chdir(tmp_path)
    made = make_source(
        read_workload("seed"), options(Path("data.jsonl"), dataset_limit=3, dataset_context=99, max_tokens=5)
    )
    assert isinstance(made, Dataset)
    assert replace(made.choice, path=Path()) == DatasetChoice(Path(), 3, 99, 5) and made.choice.path.is_absolute()
    with pytest.raises(UsageProblem, match="--prompt-tokens: with --dataset the file decides the prompts"):
        make_source(read_workload("seed"), options(tmp_path / "data.jsonl", prompt_tokens=5))
