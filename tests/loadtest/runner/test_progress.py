"""Progress: whole lines in a pipe, one moving line on a terminal."""

from __future__ import annotations

import io

import pytest

from loadtest.analysis.metrics import summarise
from loadtest.runner.progress import RunProgress
from tests.loadtest.answers import closed, good


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def one_stage(stream: io.StringIO) -> str:
    progress, stage = RunProgress(stream), closed(2, 5, 1)
    progress.stage_begins(stage, 4)
    progress.tick(stage)
    stage.released = 1
    stage.records = [good(0, 100, [(900, 1)])]
    progress.tick(stage)
    progress.stage_ends(stage, summarise(stage.records, 0))
    return stream.getvalue()


def test_a_pipe_gets_whole_lines() -> None:
    assert one_stage(io.StringIO()).splitlines() == [
        "stage 2/4: 5 users …",
        "stage 2/4: 5 users: 1 good answers in 1.00 s, 2 tokens/s, stopped early",
    ]


def test_a_terminal_gets_a_counter_that_is_cleaned_up() -> None:
    written = one_stage(Terminal())
    assert "\rstage 2/4: 5 users … warming up, 0 s" in written
    assert "\rstage 2/4: 5 users … 1/5 answers, 0 s" in written
    assert written.endswith("\rstage 2/4: 5 users: 1 good answers in 1.00 s, 2 tokens/s, stopped early\n")
    assert written.count("\n") == 1


def test_a_pipe_gets_a_line_now_and_then_while_nothing_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("loadtest.runner.progress.time.monotonic", lambda: now)
    stream, stage = io.StringIO(), closed(1, 5, 1)
    progress = RunProgress(stream)
    progress.stage_begins(stage, 1)
    for _ in range(650):
        now += 0.1
        progress.tick(stage)
        stage.released = 1
    assert stream.getvalue().splitlines() == [
        "stage 1/1: 5 users …",
        "stage 1/1: 5 users … 0/5 answers, 30 s",
        "stage 1/1: 5 users … 0/5 answers, 60 s",
    ]
