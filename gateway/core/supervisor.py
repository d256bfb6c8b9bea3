"""Supervises background tasks: a failure is logged, counted and shown, and the task goes on."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any

# A task or thread that failed is started again after so long.
PAUSE_S = 1.0
# One that fails again and again is told in the log at most this often; each time is counted.
TOLD_EVERY_S = 60.0
# /health calls a part failing for so long after a failure.
FAILING_S = 60.0
# Every name that `guard`, `task` and `thread` are given.
PARTS = (
    "access_log",
    "health_checker",
    "reloader",
    "report_desk",
    "resolver",
    "share",
    "shutdown",
    "store_desk",
    "store_sync",
    "ticker",
    "traces",
    "turns",
    "uplink",
)
_log = logging.getLogger("gateway")


class Part:
    """One part's failures. ``last``: what the last one was, a name of an exception; ``last_at``: Unix time."""

    __slots__ = ("failures", "last", "last_at", "told_at")

    def __init__(self) -> None:
        self.failures = 0
        self.last = ""
        self.last_at = 0.0
        self.told_at = 0.0


class Guard:
    """``with guard:`` an exception in there is noted and goes no further. ``failed``: whether there was one."""

    __slots__ = ("_name", "_supervisor", "failed")

    def __init__(self, supervisor: Supervisor, name: str) -> None:
        self._supervisor = supervisor
        self._name = name
        self.failed = False

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> bool:
        # Cancellation, SystemExit and the like are no Exception: they are meant.
        if not isinstance(error, Exception):
            return False
        self.failed = True
        self._supervisor.note(self._name, error)
        return True


class Supervisor:
    """What has failed, by part; used from the event loop and from the gateway's own threads."""

    def __init__(self) -> None:
        self.parts = {name: Part() for name in PARTS}
        self._lock = threading.Lock()

    def guard(self, name: str) -> Guard:
        return Guard(self, name)

    def note(self, name: str, error: Exception) -> None:
        """A part has failed."""
        part, now = self.parts[name], time.time()
        with self._lock:
            part.failures += 1
            part.last, part.last_at = type(error).__name__, now
            tell = now - part.told_at >= TOLD_EVERY_S
            if tell:
                part.told_at = now
        if tell:
            _log.error("%s failed (%d times so far); it goes on", name, part.failures, exc_info=error)

    def task(
        self, name: str, work: Callable[[], Coroutine[Any, Any, None]], loop: asyncio.AbstractEventLoop
    ) -> asyncio.Task[None]:
        """A task that is begun again when it fails, until it returns or is cancelled."""
        return loop.create_task(self._keep_doing(name, work))

    def thread(self, name: str, work: Callable[[], None]) -> threading.Thread:
        """The same as a thread, not started yet; it does not keep the process from ending."""

        def run() -> None:
            while True:
                with self.guard(name) as guard:
                    work()
                if not guard.failed:
                    return
                time.sleep(PAUSE_S)

        return threading.Thread(target=run, name=name, daemon=True)

    def report(self) -> dict[str, dict[str, object]]:
        """For /health: each part, and when it failed."""
        return {name: _entry(part) for name, part in self.parts.items()}

    async def _keep_doing(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            with self.guard(name) as guard:
                await work()
            if not guard.failed:
                return
            await asyncio.sleep(PAUSE_S)


def _entry(part: Part) -> dict[str, object]:
    failing = part.last_at > 0 and time.time() - part.last_at < FAILING_S
    entry: dict[str, object] = {"state": "failing" if failing else "ok", "failures": part.failures}
    return entry | ({"last": part.last} if part.failures else {})
