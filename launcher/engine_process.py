"""One engine as processes: a group of its own, so that a stop takes everything that vLLM has started."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from launcher import environment, processes
from launcher.config import CommandedModel
from launcher.ledger import LedgerLine

_LOOK_S = 0.05
_WAIT = 'read -r go && exec "$@"'
# After SIGKILL the kernel takes down what the process had; on a card with much memory that takes its time.
_GONE_S = 30.0


class CannotStart(Exception):
    """The program is not there, or may not be run."""


class EngineProcess:
    """Started by this launcher, or by one before it (``child`` None: then nobody learns its exit code)."""

    def __init__(self, running: LedgerLine, child: subprocess.Popen[bytes] | None = None) -> None:
        self.running = running
        self._child = child

    @classmethod
    def start(
        cls, model: CommandedModel, secret: str, output: int, record: Callable[[LedgerLine], None]
    ) -> EngineProcess:
        """``record`` is called once its number is known and before it begins.

        Raises:
            CannotStart
        """
        if model.listen.uds:  # vLLM does not listen where a socket of before lies
            Path(model.listen.uds).unlink(missing_ok=True)
        words = environment.command(model)
        variables = environment.variables(model, secret)
        if shutil.which(words[0], path=variables.get("PATH")) is None:
            raise CannotStart(f"'{words[0]}' cannot be run: no such program")
        # It waits for a line, and ends if it gets none: a launcher that is killed here has started nothing.
        child = subprocess.Popen(
            ["/bin/sh", "-c", _WAIT, "launcher", *words], env=variables, stdin=subprocess.PIPE, stdout=output,
            stderr=output, start_new_session=True,
        )  # fmt: skip
        seen = processes.see(child.pid)
        started = seen.started if seen is not None else 0
        running = LedgerLine(child.pid, started, digest_of(model), secret, time.time())
        assert child.stdin is not None
        with contextlib.ExitStack() as undo:
            undo.callback(child.wait)
            undo.callback(child.stdin.close)
            record(running)
            undo.pop_all()
        with child.stdin as go, contextlib.suppress(BrokenPipeError):
            go.write(b"go\n")
            go.flush()
        return cls(running, child)

    @classmethod
    def adopt(cls, running: LedgerLine) -> EngineProcess | None:
        """One that a launcher before this one has started; None if it does not live any more."""
        seen = processes.see(running.pid)
        if seen is None or seen.started != running.started:
            return None
        return cls(running)

    def alive(self) -> bool:
        """Whether its first process lives."""
        if self._child is not None:
            return self._child.poll() is None
        seen = processes.see(self.running.pid)
        return seen is not None and seen.started == self.running.started

    @property
    def exit_code(self) -> int | None:
        return None if self._child is None else self._child.poll()

    def end(self, patience_s: float) -> bool:
        """Ask all of it to end, and make it after so long; False if something still lives after that."""
        if self.alive():
            self._signal(signal.SIGTERM)
            _until(lambda: not self.alive(), patience_s)
        else:
            self._signal(signal.SIGTERM)
            _until(lambda: not self._left(), min(patience_s, 5.0))
        if self._left():
            self._signal(signal.SIGKILL)
        return _until(lambda: not self._left(), _GONE_S)

    def _signal(self, number: int) -> None:
        processes.signal_all(self._left(), number)

    def _left(self) -> list[int]:
        if self._child is not None and self._child.poll() is not None:
            processes.reap(self.running.pid)
        return processes.group(self.running.pid, self.running.started)


def end_leftovers(running: LedgerLine) -> None:
    """What lives on of an engine whose first process has died while no launcher was there."""
    processes.signal_all(processes.group(running.pid, running.started), signal.SIGKILL)


def _until(so: Callable[[], bool], limit_s: float) -> bool:
    ends = time.monotonic() + limit_s
    while not so():
        if time.monotonic() > ends:
            return False
        time.sleep(_LOOK_S)
    return True


def digest_of(model: CommandedModel) -> str:
    """Tells whether an engine that runs is the one that is planned now."""
    words = repr((environment.command(model), sorted(model.env), model.listen, model.sleep))
    return hashlib.sha256(words.encode("utf-8", "surrogateescape")).hexdigest()
