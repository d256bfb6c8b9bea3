"""A trace as a source of requests."""

from __future__ import annotations

import json
import pickle
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from loadtest.core.errors import UsageProblem
from loadtest.workload.arrivals import Arrivals
from loadtest.workload.registry import make_source
from loadtest.workload.schema import read_workload
from loadtest.workload.source import Lengths, Place, starts_of
from loadtest.workload.synthetic import plain
from loadtest.workload.texts import RunTexts
from loadtest.workload.trace import TraceChoice, TraceSource, read_trace

RUN = RunTexts("one")


def trace(tmp_path: Path, *rows: dict[str, Any], **choice: Any) -> TraceSource:
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return read_trace(TraceChoice(path, **choice))


def row(at: float, prompt: int = 20, output: int = 5, **more: Any) -> dict[str, Any]:
    return {"at_s": at, "prompt_tokens": prompt, "output_tokens": output} | more


def text(source: TraceSource, number: int, stage: str = "1", run: RunTexts = RUN) -> list[str]:
    return source.conversation(Place(stage, number), run).turn(1).messages[0]["content"].split()


def test_requests_are_as_long_as_the_trace_says_and_come_when_it_says(tmp_path: Path) -> None:
    source = trace(tmp_path, row(10, 30, 7), row(12.5, 50, 9))
    assert [len(text(source, number)) for number in (0, 1)] == [30, 50]
    turn = source.conversation(Place("1", 1), RUN).turn(1)
    assert (turn.output_tokens, turn.exact) == (9, True)
    assert source.lengths == Lengths(50, 9, True)
    assert source.starts(1) == [0, 2.5] and source.starts(5) == [0, 0.5]
    calibrated = source.calibrated(2.0, 10)
    assert [len(text(calibrated, number)) for number in (0, 1)] == [10, 20]


def test_users_go_through_it_and_begin_again_with_other_texts(tmp_path: Path) -> None:
    source = trace(tmp_path, *(row(at, 20 + at) for at in range(4)))
    lengths = [
        len(source.conversation(Place("1", user, 2, index), RUN).turn(1).messages[0]["content"].split())
        for index in range(3) for user in range(2)
    ]  # fmt: skip
    assert lengths == [20, 21, 22, 23, 20, 21]
    assert text(source, 0) != text(source, 4)


def shared(one: list[str], other: list[str]) -> int:
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def test_prompts_share_what_the_trace_says_and_nothing_with_another_stage(tmp_path: Path) -> None:
    cached = trace(tmp_path, *(row(at, 100, group=group, cached_tokens=60) for at, group in enumerate((1, 1, 2))))
    first, second, third = (text(cached, number) for number in range(3))
    assert (shared(first, second), shared(first, third), len(first)) == (60, 0, 100)
    assert shared(first, text(cached, 0, "2")) == 0 and shared(first, text(cached, 0, run=RunTexts("two"))) == 0
    blocks = [{"timestamp": at, "input_length": 1100, "output_length": 1, "hash_ids": ids}
              for at, ids in enumerate(([1, 2, 3], [1, 2, 4], [1, 5, 3]))]  # fmt: skip
    source = trace(tmp_path, *blocks)
    one, two, three = (text(source, number) for number in range(3))
    assert (shared(one, two), shared(one, three), len(one)) == (1024, 512, 1100)
    assert source.describe()["shared"] == pytest.approx((0 + 1024 / 1100 + 512 / 1100) / 3, abs=1e-3)


def test_halves_share_no_request_and_make_the_whole(tmp_path: Path) -> None:
    rows = [row(at, 20 + at) for at in range(7)]
    halves = [trace(tmp_path, *rows, part=part) for part in ("tuned", "held-out")]
    assert [[len(text(one, n)) for n in range(len(one.trace.requests))] for one in halves] == [
        [20, 22, 24, 26],
        [21, 23, 25],
    ]
    assert len({one.name for one in (*halves, trace(tmp_path, *rows))}) == 3


def test_another_process_reads_the_same_file(tmp_path: Path) -> None:
    source = trace(tmp_path, row(0), row(1)).calibrated(1.5, 3)
    again = pickle.loads(pickle.dumps(source))
    assert again == source and text(again, 1) == text(source, 1)
    data = pickle.dumps(source)
    source.choice.path.write_text(json.dumps(row(0, 99)) + "\n", encoding="utf-8")
    with pytest.raises(UsageProblem, match="the file has changed since the run began"):
        pickle.loads(data)


def test_a_hole_is_named_with_what_would_be_right(tmp_path: Path) -> None:
    source = trace(tmp_path, row(0), row(5), row(7205))
    with pytest.raises(UsageProblem, match="7,200 s without a request after request 2; cut the file.*--rates 12"):
        source.starts(1)
    assert source.starts(12)[-1] == pytest.approx(600.4, abs=0.1)


def options(path: Path, **given: Any) -> Namespace:
    none = dict.fromkeys(("dataset", "dataset_limit", "dataset_context", "trace_limit", "trace_context", "max_tokens"))
    return Namespace(**(none | {"prompt_tokens": None, "trace": str(path)} | given))


@pytest.mark.parametrize(
    ("text_of", "given", "said"),
    [
        (None, {}, "no such file"),
        ("", {}, "no request in it"),
        ("{}\n", {}, "line 1: prompt_tokens: None"),
        (json.dumps(row(0)), {"trace_context": 10}, "no request fits --trace-context 10"),
        (json.dumps(row(0)), {"prompt_tokens": 5}, "--trace-context to leave long ones out"),
        (json.dumps(row(0)), {"dataset": "x"}, "--dataset and --trace do not go together"),
    ],
)
def test_what_makes_no_source_is_one_line(
    tmp_path: Path, text_of: str | None, given: dict[str, Any], said: str
) -> None:
    path = tmp_path / "t.jsonl"
    if text_of is not None:
        path.write_text(text_of, encoding="utf-8")
    with pytest.raises(UsageProblem, match=said):
        make_source(read_workload("seed"), options(path, **given))


def test_only_a_trace_knows_when_its_requests_came(tmp_path: Path) -> None:
    assert starts_of(trace(tmp_path, row(3), row(4)), 1) == [0, 1]
    with pytest.raises(UsageProblem, match="--mode replay: only a trace"):
        starts_of(plain(1, 1), 1)
    labels = [stage.label for stage in Arrivals("replay", rates=(1.0, 10.0)).stages()]
    assert labels == ["replayed", "replayed 10 times as fast"]
