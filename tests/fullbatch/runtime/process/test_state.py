from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from fullbatch.runtime import registry
from fullbatch.runtime.process import state
from fullbatch.runtime.process.state import ProcessRun, Started
from tests.fullbatch.checkout import wait_gone

SLEEP = "import time; print('up', flush=True); time.sleep(60)"
# Leads a session, has a child in it, tells the child's pid, and ends when its input ends.
PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
sys.stdin.read()
"""


@contextmanager
def _process(code: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().decode().strip()
    finally:
        process.kill()
        process.communicate()


def _started(pid: int, created: float | None = None) -> Started:
    return Started("engine", pid, psutil.Process(pid).create_time() if created is None else created, "/log")


def _state(*processes: Started) -> ProcessRun:
    return ProcessRun("cpu", "http://127.0.0.1:8080", {"engine": "http://127.0.0.1:8100"}, "/keys", processes)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    state.run_dir(tmp_path, "cpu").mkdir(parents=True)
    known = _state(Started("engine", 7, 1.5, "/log"), Started("gateway", 8, 2.5, "/log2"))
    state.write(tmp_path, known)
    assert state.read(tmp_path, "cpu") == known
    state.forget(tmp_path, "cpu")
    assert state.read(tmp_path, "cpu") is None
    state.forget(tmp_path, "cpu")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"processes": 3}', '{"processes": [{"pid": 1}]}', "null"])
def test_a_file_that_is_not_ours_is_no_state(tmp_path: Path, text: str) -> None:
    folder = state.run_dir(tmp_path, "cpu")
    folder.mkdir(parents=True)
    (folder / "state.json").write_text(text, encoding="utf-8")
    assert state.read(tmp_path, "cpu") is None
    assert state.running(tmp_path) == []


def test_a_live_process_and_a_dead_one() -> None:
    with _process(SLEEP) as (process, _):
        started = _started(process.pid)
        assert started.process() is not None
        assert _state(started).alive() == [started]
        process.kill()
        # Not waited for yet: a zombie has ended too.
        wait_gone(process.pid)
        assert started.process() is None
        assert _state(started).alive() == []


def test_another_process_with_the_same_pid_is_not_ours() -> None:
    with _process(SLEEP) as (process, _):
        stale = _started(process.pid, created=psutil.Process(process.pid).create_time() - 3600)
        assert stale.process() is None
        assert stale.session() == []


def test_what_was_written_before_a_reboot_is_not_ours() -> None:
    """Pids start again at 1: a session of the same number is somebody else's."""
    own_session = os.getsid(0)
    assert Started("engine", own_session, psutil.boot_time() - 3600, "/log").session() == []


def test_children_that_outlive_their_parent_are_found() -> None:
    with _process(PARENT) as (process, child):
        started = _started(process.pid)
        assert {one.pid for one in started.session()} == {process.pid, int(child)}
        process.kill()
        process.wait()
        assert started.process() is None
        assert [one.pid for one in started.session()] == [int(child)]
        assert _state(started).alive() == [started]
        os.kill(int(child), signal.SIGKILL)
        wait_gone(int(child))
        assert started.session() == []


def test_only_deployments_with_a_live_process_run(tmp_path: Path) -> None:
    with _process(SLEEP) as (process, _):
        for profile, pid in (("a", process.pid), ("b", 2**22 + 1)):
            state.run_dir(tmp_path, profile).mkdir(parents=True)
            found = ProcessRun(
                profile, "u", {}, "k", (Started("engine", pid, psutil.Process(process.pid).create_time(), ""),)
            )
            state.write(tmp_path, found)
        assert [one.profile for one in state.running(tmp_path)] == ["a"]


def test_nothing_was_ever_started(tmp_path: Path) -> None:
    assert state.running(tmp_path) == []
    assert state.read(tmp_path, "cpu") is None


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    """Written beside and moved: whatever is read in between is whole JSON, and nothing is left beside it."""
    folder = state.run_dir(tmp_path, "cpu")
    folder.mkdir(parents=True)
    for number in range(20):
        state.write(tmp_path, _state(*(Started("engine", pid, 1.0, "x" * 1000) for pid in range(number))))
        assert len(json.loads((folder / "state.json").read_text(encoding="utf-8"))["processes"]) == number
    assert [path.name for path in folder.iterdir()] == ["state.json"]


def test_a_client_is_told_of_the_one_deployment_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FULLBATCH_HOST", "FULLBATCH_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    assert "FULLBATCH_HOST" not in registry.client_environment(tmp_path)
    with _process(SLEEP) as (process, _):
        state.run_dir(tmp_path, "cpu").mkdir(parents=True)
        state.write(tmp_path, _state(_started(process.pid)))
        told = registry.client_environment(tmp_path)
        assert (told["FULLBATCH_HOST"], told["FULLBATCH_KEY_FILE"]) == ("http://127.0.0.1:8080", "/keys")
        assert told["PATH"] == os.environ["PATH"]
        monkeypatch.setenv("FULLBATCH_HOST", "http://elsewhere:1")
        other = registry.client_environment(tmp_path)
        assert other["FULLBATCH_HOST"] == "http://elsewhere:1" and "FULLBATCH_KEY_FILE" not in other
