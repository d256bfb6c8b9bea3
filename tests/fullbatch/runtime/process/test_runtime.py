"""What the registry is told of plain processes, from a state file of the test's own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from fullbatch.core.errors import StateError, UsageError
from fullbatch.planning import plan_facts
from fullbatch.planning.plan import Plan
from fullbatch.runtime.base import DeadEngine
from fullbatch.runtime.process import state
from fullbatch.runtime.process.runtime import ProcessRunning, ProcessRuntime

GONE = 2**22 + 1


@pytest.fixture
def known(tmp_path: Path, plan_of: Callable[[str], Plan]) -> state.ProcessRun:
    """A run whose gateway is this very process and whose engine has ended."""
    folder = state.run_dir(tmp_path, "cpu")
    folder.mkdir(parents=True)
    (folder / "engine.log").write_text("loading\nout of memory\n", encoding="utf-8")
    (folder / "gateway.log").write_text("listening\n", encoding="utf-8")
    created = psutil.Process(os.getpid()).create_time()
    return state.ProcessRun(
        "cpu", "http://127.0.0.1:1", {"engine": "http://127.0.0.1:1"}, "keys",
        (
            state.Started("engine", GONE, created, str(folder / "engine.log")),
            state.Started("gateway", GONE, created, str(folder / "gateway.log")),
        ),
        facts=plan_facts.of(plan_of("cpu")),
    )  # fmt: skip


def test_what_has_ended_is_not_running_but_left(known: state.ProcessRun, tmp_path: Path) -> None:
    runtime = ProcessRuntime()
    assert runtime.stopped(tmp_path, "cpu") is None
    state.write(tmp_path, known)
    assert runtime.running(tmp_path) == []
    left = runtime.stopped(tmp_path, "cpu")
    assert left is not None and left.profile == "cpu"
    assert runtime.stopped(tmp_path, None) is None, "nobody said of which"
    state.forget(tmp_path, "cpu")
    assert runtime.stopped(tmp_path, "cpu") is None
    state.store_of(tmp_path, "cpu").mkdir()
    assert runtime.stopped(tmp_path, "cpu") is not None, "its keys are there"


def test_its_logs_by_part(known: state.ProcessRun, tmp_path: Path) -> None:
    shown: list[str] = []
    assert ProcessRunning(tmp_path, "cpu", known).show_logs(1, False, shown.append) == 0
    assert shown == ["engine  | out of memory\n", "gateway | listening\n"]
    with pytest.raises(StateError, match=r"\.fullbatch/run/PROFILE"):
        ProcessRunning(tmp_path, "cpu", None).show_logs(1, False, shown.append)


def test_an_engine_that_has_ended_has_died_whatever_the_gateway_says(known: state.ProcessRun, tmp_path: Path) -> None:
    running = ProcessRunning(tmp_path, "cpu", known)
    assert running.dead_engines(1, answers=True) == [DeadEngine("engine", ["out of memory"])]
    assert running.engine_log(2) == ["loading", "out of memory"]
    assert (running.gateway_metrics(), running.engine_metrics(), running.parts()) == ("", "", {})


def test_there_are_no_volumes(known: state.ProcessRun, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'cpu' runs as processes and has none; its keys and logs are in"):
        ProcessRunning(tmp_path, "cpu", known).stop(lambda _: None, volumes=True)


def test_the_log_of_the_last_run_is_there_once_it_is_over(
    known: state.ProcessRun, tmp_path: Path, plan_of: Callable[[str], Plan]
) -> None:
    assert ProcessRuntime().last_log(tmp_path, plan_of("cpu"), 1) == ["out of memory"]
    state.write(tmp_path, known)
    assert ProcessRuntime().last_log(tmp_path, plan_of("cpu"), 1) == ["out of memory"]
    assert ProcessRuntime().last_log(tmp_path, plan_of("cpu-tiny"), 1) == []
