"""Ending processes: all engines at once, so that the last does not wait for the first."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil

from fullbatch.runtime.process import state, stopping
from fullbatch.runtime.process.state import ProcessRun, Started

# Takes two seconds to end once it was asked, as an engine that lets answers end.
SLOW_TO_GO = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(2), sys.exit(0)))
print("ready", flush=True)
time.sleep(60)
"""
DEAF = SLOW_TO_GO.replace("lambda *_: (time.sleep(2), sys.exit(0))", "signal.SIG_IGN")


def _started(name: str, program: str) -> tuple[subprocess.Popen[bytes], Started]:
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process, Started(name, process.pid, psutil.Process(process.pid).create_time(), "/dev/null")


def test_eight_engines_end_as_fast_as_one(tmp_path: Path) -> None:
    processes, started = zip(
        *(_started(name, SLOW_TO_GO) for name in ("gateway", *(f"engine-{n}" for n in range(8)))), strict=True
    )
    known = ProcessRun("p", "http://127.0.0.1:1", {}, "keys", started)
    said: list[str] = []
    began = time.monotonic()
    stopping.stop(tmp_path, known, said.append)
    took = time.monotonic() - began
    assert [one.wait(5) for one in processes] == [0] * 9
    assert said[0].startswith("stopping the gateway") and len(said) == 9
    assert 4 <= took < 12, "the gateway first, then all engines together; one after the other would be 18 s"
    for one in processes:
        one.stdout.close()


def test_what_does_not_hear_is_killed(tmp_path: Path) -> None:
    process, started = _started("engine", DEAF)
    folder = state.run_dir(tmp_path, "p")
    folder.mkdir(parents=True)
    known = ProcessRun("p", "http://127.0.0.1:1", {}, "keys", (started,), sockets=str(folder / "ipc"))
    (folder / "ipc").mkdir()
    state.write(tmp_path, known)
    stopping.stop(tmp_path, known, lambda _text: None, patience=0.5)
    assert process.wait(5) == -9
    assert state.read(tmp_path, "p") is None
    assert not (folder / "ipc").exists()
    assert process.stdout is not None
    process.stdout.close()
