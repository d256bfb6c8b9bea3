"""Cells one after the other: which are run, and what a side is called by."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import ClassVar

import pytest

from fullbatch.core.errors import EngineError
from scripts.gpubench import matrix, plans, run
from scripts.gpubench.sides import LlamaProgram


@pytest.mark.parametrize(("status", "is_done"), [("done", True), ("cut short", False), ("failed", False)])
def test_only_a_cell_that_was_finished_is_not_run_again(tmp_path: Path, status: str, is_done: bool) -> None:
    cell = matrix.read(matrix.PLACE / "matrix.yaml").cells[0]
    assert not run.done(tmp_path, cell)
    (tmp_path / cell.name).mkdir()
    (tmp_path / cell.name / "cell.json").write_text(json.dumps({"status": status}))
    assert run.done(tmp_path, cell) is is_done


class Standing:
    """A side that is up at once and remembers what was asked of it."""

    made: ClassVar[list[str]] = []

    def __init__(self, name: str) -> None:
        self.name = name
        self.made.append(f"start {name}")

    def sized(self) -> bool:
        return True

    def wait(self) -> float:
        return 1.0

    def words(self, folder: Path) -> str:
        return f"{self.name}=http://127.0.0.1:9,model=m,metrics=http://m,pid=7,meta={folder}/meta.json"

    def facts(self) -> dict[str, str]:
        return {"engine": self.name}

    def stop(self) -> None:
        self.made.append(f"stop {self.name}")


class Program:
    """The load test's process, which ends at once; its words are kept."""

    commands: ClassVar[list[list[str]]] = []

    def __init__(self, command: list[str], cwd: Path) -> None:
        self.commands.append(command)
        assert cwd.name == "root"

    def wait(self, _seconds: float | None = None) -> int:
        return 0


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shipped: matrix.Matrix) -> run.RunningSides:
    """Over a matrix of two cells with sides of llama.cpp, none of which is really started."""
    llamas = {name: matrix.Side(about="", slots=1) for name in ("one", "two", "three")}
    model = next(iter(shipped.models))
    cells = [
        matrix.Cell(name="first", model=model, sides=["one", "two"]),
        matrix.Cell(name="second", model=model, sides=["two"]),
    ]
    made = shipped.model_copy(update={"sides": llamas, "cells": cells})
    monkeypatch.setattr(Standing, "made", [])
    monkeypatch.setattr(Program, "commands", [])
    monkeypatch.setattr(run, "Llama", lambda _program, name, *_: Standing(name))
    monkeypatch.setattr("subprocess.Popen", Program)
    said: list[str] = []
    here = plans.Here(80.0, tmp_path, frozenset())
    options = run.BenchOptions(
        tmp_path / "root", tmp_path / "out", here, LlamaProgram(("llama",), {}), time.monotonic() + 3600, said.append
    )
    return run.RunningSides(made, options)


def test_a_side_stays_up_while_the_next_cell_needs_it_too(bench: run.RunningSides) -> None:
    assert bench.run(bench.matrix.cells) == 0
    assert Standing.made == ["start one", "start two", "stop one", "stop two"]
    compared, alone = Program.commands
    assert compared[2:4] == ["loadtest", "compare"] and compared[-1].startswith("two=http://127.0.0.1:9,")
    assert alone[2:4] == ["loadtest", "run"]
    assert alone[-8:] == [
        "--model", "m", "--engine-metrics", "http://m", "--pid", "7", "--meta", f"{bench.options.out}/second/meta.json",
    ]  # fmt: skip
    found = json.loads((bench.options.out / "first" / "cell.json").read_text())
    assert (found["status"], found["sides"]["one"], found["left_out"]) == ("done", {"engine": "one"}, [])
    assert bench.run(bench.matrix.cells) == 0 and len(Program.commands) == 2, "what is done is not done again"


def test_a_side_that_does_not_come_up_fails_its_cell_and_not_the_next(
    bench: run.RunningSides, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait(side: Standing) -> float:
        if side.name == "one":
            raise EngineError("it does not answer", "its log")
        return 1.0

    monkeypatch.setattr(Standing, "wait", wait)
    assert bench.run(bench.matrix.cells) == 1
    found = json.loads((bench.options.out / "first" / "cell.json").read_text())
    assert (found["status"], found["error"]) == ("failed", "it does not answer\nits log")
    assert run.done(bench.options.out, bench.matrix.cells[1])
    assert sorted(Standing.made) == ["start one", "start two", "stop one", "stop two"]


def test_a_cell_for_which_no_time_is_left_is_not_begun(bench: run.RunningSides) -> None:
    late = run.RunningSides(bench.matrix, dataclasses.replace(bench.options, deadline=time.monotonic() + 10))
    assert late.run(bench.matrix.cells) == 2
    assert Standing.made == [] and not (bench.options.out / "first").exists()


def test_without_the_program_a_side_is_left_out_and_said_so(bench: run.RunningSides) -> None:
    without = run.RunningSides(bench.matrix, dataclasses.replace(bench.options, llama=None))
    without.run(bench.matrix.cells[:1])
    found = json.loads((bench.options.out / "first" / "cell.json").read_text())
    assert found["left_out"] == ["one", "two"] and Standing.made == []
    assert (
        found["error"]
        == "none of its sides can be started here: one, two need llama.cpp; run scripts/llama-server install"
    )
