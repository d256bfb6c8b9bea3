"""The engines of one card: one action at a time, one of them awake at most, and what became of each.

`stopped -> starting -> ready -> (asleep -> waking -> ready) -> stopping -> stopped`; `failed`: it ended, or was ended,
without having been asked to. Anything that goes wrong with sleeping ends the process: what vLLM has mapped by then is
not given back otherwise (vllm#34600).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any

from launcher.actions import Actions
from launcher.config import LauncherSettings
from launcher.engine_log import EngineLog
from launcher.engine_process import EngineProcess, end_leftovers
from launcher.entry import AWAKE, Entry
from launcher.ledger import LedgerLine, ProcessLedger

WATCH_S = 0.25
ACTIONS = ("start", "stop", "sleep", "wake")
# What each action begins with. Asking for what is so already is no mistake: whoever asks may have lost the answer.
_FROM = {
    "start": frozenset({"stopped", "failed"}), "wake": frozenset({"asleep"}), "sleep": frozenset({"ready"}),
    "stop": frozenset({"ready", "asleep", "failed", "starting", "waking"}),
}  # fmt: skip
_DONE = {"start": "ready", "wake": "ready", "sleep": "asleep", "stop": "stopped"}


class Unknown(Exception):
    """No such model."""


class Refused(Exception):
    """Not now; the message says why."""


class CardLauncher:
    """All of them. Called from several threads."""

    def __init__(self, settings: LauncherSettings, ledger: ProcessLedger, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._ledger = ledger
        self._say = say
        self._lock = threading.RLock()
        self._busy: Entry | None = None
        self._closing = threading.Event()
        self._worker: threading.Thread | None = None
        self._entries = {model.name: self._entry(model.name) for model in settings.models}
        self._actions = Actions(settings, self._entries, self._lock, self._write, say)

    def _entry(self, name: str) -> Entry:
        model = next(one for one in self._settings.models if one.name == name)
        log = EngineLog(self._settings.folder / f"{name}.log", lambda line: self._say(f"{name}: {line}"))
        return Entry(model, log)

    def state(self) -> dict[str, Any]:
        """For whoever asks: see docs/decisions/0038."""
        with self._lock:
            return {"card": self._settings.card, "models": {one.model.name: one.told() for one in self._all()}}

    def ask(self, name: str, action: str) -> str:
        """Begin an action; returns the state that the model has now.

        Raises:
            Unknown, Refused
        """
        with self._lock:
            entry = self._entries.get(name)
            if entry is None or action not in ACTIONS:
                raise Unknown
            if self._closing.is_set():
                raise Refused("the launcher is ending")
            if entry.state == _DONE[action]:
                return entry.state
            if self._busy is not None:
                if action == "stop" and self._busy is entry:
                    entry.stop_asked.set()
                    return entry.state
                raise Refused(f"'{self._busy.model.name}' is {self._busy.state}; one at a time")
            self._may(entry, action)
            self._begin(entry, action)
            return entry.state

    def _may(self, entry: Entry, action: str) -> None:
        if action == "sleep" and not entry.model.sleep:
            raise Refused(f"'{entry.model.name}' does not sleep; stop it")
        if entry.state not in _FROM[action]:
            raise Refused(f"'{entry.model.name}' is {entry.state}")
        if action in ("start", "wake"):
            other = next((one for one in self._all() if one.state in AWAKE), None)
            if other is not None:
                raise Refused(f"'{other.model.name}' is {other.state} on this card; put it to sleep or stop it first")

    def _begin(self, entry: Entry, action: str) -> None:
        self._busy = entry
        entry.stop_asked.clear()
        work = getattr(self._actions, action)
        self._actions.first(entry, action)

        def run() -> None:
            try:
                work(entry)
            finally:
                with self._lock:
                    self._busy = None

        self._worker = threading.Thread(target=run, name=f"{action} {entry.model.name}", daemon=True)
        self._worker.start()

    def adopt(self) -> None:
        """Take over what runs of a launcher before this one; end what is not as it is planned now."""
        for entry in self._all():
            entry.log.resume()
        for name, running in self._ledger.read().items():
            known = self._entries.get(name)
            process = EngineProcess.adopt(running)
            if process is None:
                end_leftovers(running)
            elif known is None or running.digest != known.digest:
                self._say(f"launcher: '{name}' (process {running.pid}) is not as planned any more: it is ended")
                process.end(known.model.stop_timeout_s if known is not None else 30.0)
            else:
                self._say(f"launcher: '{name}' (process {running.pid}) is taken over")
                self._actions.adopt(known, process)
        self._write()
        # One that was being started is waited for, as if this launcher had started it.
        waited = next((one for one in self._all() if one.state == "starting"), None)
        if waited is not None:
            self._begin(waited, "wait")

    def watch(self) -> None:
        """Until `close`: read the logs, and see engines end."""
        while not self._closing.wait(WATCH_S):
            self.look()

    def look(self) -> None:
        for entry in self._all():
            entry.log.read()
            with self._lock:
                process = entry.process
                died = process is not None and entry is not self._busy and not process.alive()
            if died:
                self._actions.died(entry)

    def close(self) -> None:
        """End everything: all of them are asked at once, and waited for together."""
        self._closing.set()
        for entry in self._all():
            entry.stop_asked.set()
        self._end_all()  # whoever waits for an engine's answer gets none, and is done
        if self._worker is not None:
            self._worker.join()
        self._end_all()
        for entry in self._all():
            entry.log.read()

    def _end_all(self) -> None:
        threads = [threading.Thread(target=self._actions.stop, args=(one,)) for one in self._all() if one.process]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _all(self) -> list[Entry]:
        return list(self._entries.values())

    def _write(self, beginning: tuple[str, LedgerLine] | None = None) -> None:
        """``beginning``: one that is about to begin, and is no entry's process yet."""
        with self._lock:
            running = {one.model.name: one.process.running for one in self._all() if one.process is not None}
            if beginning is not None:
                running[beginning[0]] = beginning[1]
            with contextlib.suppress(OSError):  # a full disk costs the taking over, not the engine
                self._ledger.write(running)
