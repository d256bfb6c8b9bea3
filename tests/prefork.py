"""Starts our programs without importing them anew: each is a fork of one process that has imported them once.

What is started is a process like any other, with its own arguments, variables, files and signals; it runs the module as
``python -m`` does, from its first line. Only the imports are there already, which are most of what a start costs.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib
import json
import os
import random
import runpy
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = ("gateway", "tests.fakes.engine")
_LOOK_S = 0.005


class Forked:
    """A program that was started; the part of `subprocess.Popen` that tests use."""

    def __init__(self, pid: int, status: Path) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._status = status

    def poll(self) -> int | None:
        """How it ended, as Popen says it; None while it runs."""
        if self.returncode is None and self._status.exists():
            self.returncode = os.waitstatus_to_exitcode(int(self._status.read_text()))
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Raises: subprocess.TimeoutExpired."""
        began = time.monotonic()
        while (code := self.poll()) is None:
            if timeout is not None and time.monotonic() - began > timeout:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(_LOOK_S)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start(module: str, *args: str, out: Path, err: Path) -> Forked:
    """Run one of `PROGRAMS` in the checkout, with the variables of this moment."""
    status = err.with_suffix(".status")
    status.unlink(missing_ok=True)  # of one that wrote to the same file before
    ask = {"module": module, "args": args, "out": str(out), "err": str(err), "status": str(status)}
    return Forked(_server().start(ask | {"environment": dict(os.environ)}), status)


class _Server:
    """Our end of the process that forks."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.prefork"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._lock = threading.Lock()
        atexit.register(self.end)

    def start(self, ask: dict[str, Any]) -> int:
        assert self._process.stdin is not None and self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(ask).encode() + b"\n")
            self._process.stdin.flush()
            return int(self._process.stdout.readline())

    def end(self) -> None:
        self._process.communicate()  # the end of its input is its end


@functools.cache
def _server() -> _Server:
    return _Server()


class _Forks:
    """In the process that forks: whom it has started, and where to say how they ended."""

    def __init__(self) -> None:
        self._status: dict[int, Path] = {}
        signal.signal(signal.SIGCHLD, self._reap)

    def serve(self, asked: BinaryIO) -> dict[str, Any]:
        """Fork for each line; returns in the fork alone, with what it is to be."""
        for line in asked:
            ask: dict[str, Any] = json.loads(line)
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})  # it may end before it is known
            pid = os.fork()
            if not pid:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
                return ask
            self._status[pid] = Path(ask["status"])
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            os.write(1, b"%d\n" % pid)
        sys.exit()

    def _reap(self, *_: object) -> None:
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                path = self._status.pop(ended[0])
                half = path.with_suffix(".half")
                with contextlib.suppress(FileNotFoundError):  # the test's folder is gone
                    half.write_text(str(ended[1]))
                    half.replace(path)


def _become(ask: dict[str, Any]) -> None:
    """Files, variables and arguments of a process that was started by itself."""
    for path, flags, number in (
        (os.devnull, os.O_RDONLY, 0),
        (ask["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 1),
        (ask["err"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 2),
    ):
        opened = os.open(path, flags, 0o644)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(ask["environment"])
    random.seed()
    sys.argv[1:] = ask["args"]


def main() -> None:
    for program in PROGRAMS:
        importlib.import_module(f"{program}.__main__")
        del sys.modules[f"{program}.__main__"]  # it is run from its first line
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the tests' Ctrl-C is theirs
    with open(0, "rb", closefd=False) as asked:
        ask = _Forks().serve(asked)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _become(ask)
    runpy.run_module(ask["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
