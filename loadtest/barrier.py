"""One stage: users warm up, wait for each other, are let go together, and work off their share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event
from time import perf_counter_ns

from loadtest.arrivals import StagePlan
from loadtest.record import Record
from loadtest.workload import Kind


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


@dataclass(frozen=True, slots=True)
class Work:
    """What a stage sends. Closed loop: one kind for each user; open loop: one for each of `starts` (seconds).

    `label` begins the label of each of its requests: the same for the same stage of every side.
    """

    kinds: Sequence[Kind]
    label: str
    warmup: int = 0
    starts: Sequence[float] | None = None


class Stage:
    """What its users share. `released` is the common start (perf_counter_ns), 0 until then.

    An open loop has one Locust user, which sends off every arrival on a connection of its own.
    """

    def __init__(self, plan: StagePlan, work: Work) -> None:
        self.plan = plan
        self.work = work
        self.users = (plan.users or 1) if work.starts is None else 1
        self.warm = Barrier(self.users)
        self.start = Barrier(self.users)
        self.over = Event()
        self.released = 0
        self.records: list[Record] = []
        self.warmups: list[Record] = []
        self.defect: Exception | None = None
        self._joined = 0
        self._working = self.users

    @property
    def number(self) -> int:
        return self.plan.number

    @property
    def planned(self) -> int | None:
        """Requests to be sent when each is answered: a conversation ends with its first failure. None: by the clock."""
        turns = sum(kind.turns for kind in self.work.kinds)
        if self.work.starts is not None:
            return turns
        return None if self.plan.requests_per_user is None else turns * self.plan.requests_per_user

    @property
    def deadline(self) -> int | None:
        """No conversation begins after it (perf_counter_ns); what runs is finished."""
        return None if self.plan.seconds is None else self.released + int(self.plan.seconds * 1e9)

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
        return self._working == 0
