"""One stage: users warm up, wait for each other, are let go together, and work off their share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from threading import Event
from time import perf_counter_ns

from loadtest.client.record import Record
from loadtest.workload.arrivals import StagePlan
from loadtest.workload.source import Place


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
class StageWork:
    """What a stage sends: conversations for its users, or one for each of `starts` (seconds) of an open loop.

    `label` begins the label of each of its requests: the same for the same stage of every side.
    `planned`: requests to be sent when each is answered, since a conversation ends with its first failure; None where
    the clock decides.
    `share`: the numbers of those users or arrivals that this process has, where several processes divide them.
    """

    label: str
    warmup: int = 0
    starts: Sequence[float] | None = None
    planned: int | None = None
    share: Sequence[int] | None = None

    def of(self, process: int, processes: int, users: int) -> StageWork:
        """What one of several processes does: every so manieth user or arrival, so that the union is the whole."""
        total = users if self.starts is None else len(self.starts)
        return replace(self, share=range(process, total, processes))


class Stage:
    """What its users share. `released` is the common start (perf_counter_ns), 0 until then.

    An open loop has one Locust user, which sends off every arrival on a connection of its own.
    """

    def __init__(self, plan: StagePlan, work: StageWork) -> None:
        self.plan = plan
        self.work = work
        total = (plan.users or 1) if work.starts is None else len(work.starts)
        self.share: Sequence[int] = range(total) if work.share is None else work.share
        self.users = len(self.share) if work.starts is None else 1
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
        return self.work.planned

    def place(self, number: int, index: int = 0, warmup: bool = False) -> Place:
        """Of a user's or an arrival's conversation. What warms up is in no measured request."""
        users = None if self.work.starts is not None else self.plan.users or 1
        return Place(f"warmup-{self.work.label}" if warmup else self.work.label, number, users, index)

    @property
    def deadline(self) -> int | None:
        """No conversation begins after it (perf_counter_ns); what runs is finished."""
        return None if self.plan.seconds is None else self.released + int(self.plan.seconds * 1e9)

    def join(self) -> int:
        """The number of the next user, from 0; with a share, of those in it."""
        self._joined += 1
        return self.share[self._joined - 1] if self.work.starts is None else self._joined - 1

    def release(self, at: int | None = None) -> None:
        """`at`: the moment (perf_counter_ns) that several processes have agreed on; else this one."""
        self.released = perf_counter_ns() if at is None else at
        self.start.open()

    def leave(self) -> None:
        self._working -= 1
        if self._working == 0:
            self.over.set()

    def finish(self) -> None:
        """All have left, each in the process that it was in."""
        self._working = 0
        self.over.set()

    def fail(self, defect: Exception) -> None:
        """A fault of the load test itself: everybody who waits is woken, so that the run ends instead of hanging."""
        self.defect = defect
        for event in (self.warm.full, self.start.full, self.over):
            event.set()

    @property
    def complete(self) -> bool:
        return self._working == 0
