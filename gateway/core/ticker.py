"""One timer for all time limits: nothing on the data path starts a timer of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from gateway.core.supervisor import Supervisor

INTERVAL_S = 0.1
LAG_WINDOW_S = 10.0


class Watched(Protocol):
    """Something with a time limit."""

    def check(self, now: float) -> None:
        """Act if a limit has passed. ``now`` is the loop's clock in seconds."""


class Ticker:
    """Looks at everything watched, ten times a second, and measures how late the loop lets it.

    What fails in one look keeps nothing else from being looked at, now or later.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, supervisor: Supervisor) -> None:
        self._loop = loop
        self.supervisor = supervisor
        self._watched: set[Watched] = set()
        self._each_tick: list[Callable[[], None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._window_ends = 0.0
        self._worst = 0.0
        self._worst_before = 0.0

    def now(self) -> float:
        """The clock that `check` is told."""
        return self._loop.time()

    def add(self, watched: Watched) -> None:
        self._watched.add(watched)

    def discard(self, watched: Watched) -> None:
        self._watched.discard(watched)

    def each_tick(self, action: Callable[[], None]) -> None:
        self._each_tick.append(action)

    def start(self) -> None:
        self._due = self._loop.time() + INTERVAL_S
        self._timer = self._loop.call_at(self._due, self._tick)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    @property
    def lag(self) -> float:
        """Seconds: the worst lateness of the loop in the last 10 to 20 seconds."""
        return max(self._worst, self._worst_before)

    def _tick(self) -> None:
        now = self._loop.time()
        if now >= self._window_ends:
            self._worst_before, self._worst = self._worst, 0.0
            self._window_ends = now + LAG_WINDOW_S
        self._worst = max(self._worst, now - self._due)
        try:
            self._look(now)
        finally:
            self.start()

    def _look(self, now: float) -> None:
        watched = iter(tuple(self._watched))
        actions = iter(tuple(self._each_tick))
        while True:
            with self.supervisor.guard("ticker") as guard:
                for one in watched:
                    one.check(now)
                for action in actions:
                    action()
            if not guard.failed:
                return
