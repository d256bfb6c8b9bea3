"""What is started as a fork is a process like any other; and the gateway starts from nothing too, as users start it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests import prefork
from tests.gateway.harness import write_config
from tests.test_conftest import run_pytest
from tests.waiting import wait_until


def started(folder: Path, module: str, *args: str) -> prefork.Forked:
    return prefork.start(module, *args, out=folder / "out", err=folder / "err")


def test_it_has_its_own_arguments_files_variables_and_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert started(tmp_path, "tests.fakes.engine", "--help").wait(20) == 0
    narrow = (tmp_path / "out").read_text()
    monkeypatch.setenv("COLUMNS", "200")
    assert started(tmp_path, "tests.fakes.engine", "--help").wait(20) == 0
    wide = (tmp_path / "out").read_text()
    assert "A stand-in for vLLM" in wide and max(map(len, narrow.splitlines())) < max(map(len, wide.splitlines()))
    assert started(tmp_path, "gateway").wait(20) == 2
    assert "--config" in (tmp_path / "err").read_text()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_it_gets_the_signals_that_are_sent_to_it(tmp_path: Path, number: signal.Signals, code: int) -> None:
    engine = started(tmp_path, "tests.fakes.engine", "--port=0")
    wait_until(lambda: "listening" in (tmp_path / "out").read_text(), 20, "it listens")
    with pytest.raises(subprocess.TimeoutExpired):
        engine.wait(0.05)
    engine.send_signal(number)
    assert engine.wait(20) == engine.poll() == code
    assert not psutil.pid_exists(engine.pid)
    engine.kill()  # of one that has ended: nobody else may be called so by now


def test_the_modules_are_run_anew(tmp_path: Path) -> None:
    """Not with what another program has left in them."""
    for _ in range(2):
        assert started(tmp_path, "tests.fakes.engine", "--help").wait(20) == 0
        assert (tmp_path / "err").read_text() == ""


LEAVES_A_FORK = """
from tests import prefork

def test_leaves(tmp_path):
    prefork.start("tests.fakes.engine", "--port=0", out=tmp_path / "out", err=tmp_path / "err")
"""


def test_one_that_is_left_behind_fails_its_test_and_is_ended(tmp_path: Path) -> None:
    run = run_pytest(tmp_path, LEAVES_A_FORK, "")
    assert run.returncode == 1 and "1 passed, 1 error" in run.stdout and "left running: " in run.stdout


def test_the_gateway_starts_from_nothing_too(tmp_path: Path) -> None:
    """As its image and its users start it: every import is its own."""
    config = write_config(tmp_path, ["http://127.0.0.1:1"])
    command = [sys.executable, "-m", "gateway", "--config", str(config)]
    with subprocess.Popen(command, cwd=prefork.ROOT, env=os.environ, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "listening on" in process.stderr.readline()
        assert "metrics with keys on" in process.stderr.readline()  # the last thing that it says of its start
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
