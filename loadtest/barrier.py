"""One stage of the ladder: N users warm up, wait for each other, are let go together, and work off their requests."""

from __future__ import annotations

from threading import Event
from time import perf_counter_ns

from loadtest.record import Record


class Barrier:
    """Holds everybody who arrives until it is opened. Under Locust the events are gevent's."""

    def __init__(self, parties: int) -> None:
        self._missing = parties
        self._open = Event()
        self.full = Event()

    def arrive(self) -> None:
        self._missing -= 1
        if self._missing == 0:
            self.full.set()
        self._open.wait()

    def open(self) -> None:
        self._open.set()


class Stage:
    """What its users share. `released` is the common start (perf_counter_ns), 0 until then."""

    def __init__(self, number: int, users: int, requests_per_user: int, warmup: int) -> None:
        self.number = number
        self.users = users
        self.requests_per_user = requests_per_user
        self.warmup = warmup
        self.warm = Barrier(users)
        self.start = Barrier(users)
        self.over = Event()
        self.released = 0
        self.records: list[Record] = []
        self.warmups: list[Record] = []
        self.defect: Exception | None = None
        self._joined = 0
        self._working = users

    def join(self) -> int:
        """The number of the next user, from 0."""
        self._joined += 1
        return self._joined - 1

    def release(self) -> None:
        self.released = perf_counter_ns()
        self.start.open()

    def leave(self) -> None:
        self._working -= 1
        if self._working == 0:
            self.over.set()

    def fail(self, defect: Exception) -> None:
        """A fault of the load test itself: everybody who waits is woken, so that the run ends instead of hanging."""
        self.defect = defect
        for event in (self.warm.full, self.start.full, self.over):
            event.set()

    @property
    def complete(self) -> bool:
        return len(self.records) == self.users * self.requests_per_user
