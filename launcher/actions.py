"""What is done to an engine, step by step; each in a thread of its own, one at a time (`card`)."""

from __future__ import annotations

import os
import secrets
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Protocol

from launcher.config import LauncherSettings
from launcher.engine_api import EngineApi, Unanswered
from launcher.engine_process import CannotStart, EngineProcess
from launcher.entry import Entry
from launcher.ledger import LedgerLine

HEALTH_S = 0.25
_MEMORY_S = 30.0
_FIRST = {"start": "starting", "wait": "starting", "stop": "stopping", "sleep": "stopping", "wake": "waking"}


class Write(Protocol):
    """Puts on disk what runs."""

    def __call__(self, beginning: tuple[str, LedgerLine] | None = None) -> None: ...


class Actions:
    """On all of a card's entries."""

    def __init__(
        self,
        settings: LauncherSettings,
        entries: dict[str, Entry],
        lock: threading.RLock,
        write: Write,
        say: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._entries = entries
        self._lock = lock
        self._write = write
        self._say = say

    def first(self, entry: Entry, action: str) -> None:
        """The state that an action begins with, before its thread does."""
        self._become(entry, _FIRST[action], "is put to sleep" if action == "sleep" else "")

    def start(self, entry: Entry) -> None:
        secret = secrets.token_hex(16)
        name = entry.model.name
        self._say(f"launcher: start '{name}'")
        output = entry.log.begin()
        try:
            process = EngineProcess.start(entry.model, secret, output, lambda running: self._write((name, running)))
        except (CannotStart, OSError) as error:
            self._fail(entry, "start", str(error))
            return
        finally:
            os.close(output)
        with self._lock:
            entry.process, entry.exit = process, None
            entry.api = EngineApi(entry.model.listen, secret)
        self.wait(entry)

    def wait(self, entry: Entry) -> None:
        """Until it answers, has ended, or was asked to end."""
        process = entry.process
        assert process is not None
        began = process.running.since
        while not entry.stop_asked.is_set():
            if not process.alive():
                self._fail(entry, "start", f"{_ended(process)} while loading")
                return
            if entry.api.healthy():
                self._loaded(entry, "cold", time.time() - began)
                return
            if time.time() - began > entry.model.start_timeout_s:
                self._fail(entry, "start", f"did not answer within {entry.model.start_timeout_s:g} s of its start")
                return
            entry.stop_asked.wait(HEALTH_S)
        self.stop(entry)

    def stop(self, entry: Entry) -> None:
        with self._lock:
            process = entry.process
        self._become(entry, "stopping")
        self._say(f"launcher: stop '{entry.model.name}'")
        self._end(entry)
        self._become(entry, "stopped")
        self._say(f"launcher: '{entry.model.name}' has ended" + ("" if process is None else f" ({_ended(process)})"))

    def sleep(self, entry: Entry) -> None:
        try:
            work = entry.api.work()
        except Unanswered as error:
            self._fail(entry, "sleep", f"cannot be put to sleep: {error}")
            return
        if work:  # sleeping while requests run has ended engines (vllm#28714)
            self._become(entry, "ready", f"cannot be put to sleep: it has {work} requests")
            return
        self._say(f"launcher: put '{entry.model.name}' to sleep")
        try:
            entry.api.sleep()
            self._check_memory()
        except Unanswered as error:
            self._fail(entry, "sleep", f"did not fall asleep as it should: {error}")
            return
        self._become(entry, "asleep")
        self._say(f"launcher: '{entry.model.name}' is asleep")

    def wake(self, entry: Entry) -> None:
        self._say(f"launcher: wake '{entry.model.name}'")
        began = time.time()
        try:
            entry.api.wake()
        except Unanswered as error:
            self._fail(entry, "wake", f"did not wake up: {error}")
            return
        self._loaded(entry, "wake", time.time() - began)

    def died(self, entry: Entry) -> None:
        """Its first process has ended and nobody had asked it to."""
        process = entry.process
        if process is not None:
            self._fail(entry, "died", f"{_ended(process)} by itself")

    def adopt(self, entry: Entry, process: EngineProcess) -> None:
        """It runs already: see in what state it is."""
        entry.process = process
        entry.api = EngineApi(entry.model.listen, process.running.secret)
        state = "starting"
        if entry.api.healthy():
            state = "ready"
            if entry.model.sleep:
                try:
                    state = "asleep" if entry.api.asleep() else "ready"
                except Unanswered as error:
                    self._fail(entry, "died", f"does not say whether it sleeps: {error}")
                    return
        self._become(entry, state)

    def _loaded(self, entry: Entry, kind: str, seconds: float) -> None:
        with self._lock:
            entry.loads.append({"kind": kind, "seconds": round(seconds, 3), "at": time.time()})
            entry.become("ready")
        self._say(f"launcher: '{entry.model.name}' is ready after {seconds:.1f} s ({kind})")

    def _fail(self, entry: Entry, what: str, why: str) -> None:
        """End all of it; ``what`` is counted."""
        entry.log.read()
        self._end(entry)
        entry.log.read()
        with self._lock:
            entry.faults[what] += 1
        self._become(entry, "failed", why)
        self._say(f"launcher: '{entry.model.name}' {why}")

    def _end(self, entry: Entry) -> None:
        with self._lock:
            process = entry.process
        if process is None:
            return
        if not process.end(entry.model.stop_timeout_s):
            self._say(f"launcher: something of '{entry.model.name}' cannot be ended")
        with self._lock:
            entry.process, entry.exit = None, process.exit_code
        self._write()

    def _become(self, entry: Entry, state: str, why: str = "") -> None:
        with self._lock:
            entry.become(state, why)

    def _check_memory(self) -> None:
        """Raises: Unanswered: the card's memory was not given back."""
        memory = self._settings.memory
        if memory is None:
            return
        with self._lock:  # the one that falls asleep is not counted as asleep yet
            sleepers = 1 + sum(one.state == "asleep" for one in self._entries.values())
        used = _used_mib(memory.command)
        most = memory.asleep_mib * sleepers
        if used > most:
            raise Unanswered(
                f"{used:.0f} MiB of the card are in use, and {sleepers} asleep may keep {most:.0f}; it has not given "
                "its memory back"
            )


def _used_mib(command: tuple[str, ...]) -> float:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_MEMORY_S, check=True)
        return sum(float(line) for line in done.stdout.split())
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise Unanswered(f"how much memory is in use cannot be seen: {error}") from None


def _ended(process: EngineProcess) -> str:
    code = process.exit_code
    return "ended" if code is None else f"ended with exit code {code}" if code >= 0 else f"was ended by signal {-code}"
