"""Whose turn it is on a card: patience and minimum residency. Pure; docs/decisions/0038 has the numbers behind it.

The loaded model goes when nobody wants it, or when somebody has waited `patience_s` for another one and it has been
there for `residency_factor` times what that other one takes to load. So the time lost in switching is bounded from
above (one load in so many), and so is the wait of the model that is asked for rarely.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from gateway.residency.backoff import Backoff
from gateway.residency.load_times import Kind, LoadTimes
from gateway.residency.switch_budget import SwitchBudget

# A model that nobody asks for stays so long at most before another one may come: an agent calls its next tool soon.
IDLE_S = 10.0

Reason = Literal["idle", "patience", "priority"]


@dataclass(frozen=True, slots=True)
class ResidencyRules:
    """Seconds. ``ageing_s``: of the queue; a waiter that is less urgent by a level waits so much longer."""

    patience_s: float = 20.0
    residency_factor: float = 4.0
    ageing_s: float = 20.0
    switches_per_hour: int = 30


@dataclass(frozen=True, slots=True)
class Waiter:
    """``level``: 0 is most urgent. ``since``: when it came."""

    key: str
    level: int
    since: float


@dataclass(frozen=True, slots=True)
class Demand:
    """What is asked of one model. ``running_level``: the most urgent of what runs."""

    waiters: Sequence[Waiter] = ()
    running: int = 0
    running_level: int = 99

    @property
    def level(self) -> int:
        """The most urgent of all; 99 if there is nothing."""
        return min([self.running_level, *(one.level for one in self.waiters)])

    @property
    def idle(self) -> bool:
        return not self.running and not self.waiters


NOTHING = Demand()


@dataclass(frozen=True, slots=True)
class Switch:
    """``cause``: the key whose request it is for; empty for an operator's."""

    to: str
    reason: Reason
    cause: str = ""


@dataclass(slots=True)
class Member:
    """A model of the card. ``next_kind``: how it would be loaded now. ``let_go``: it need not stay when it is idle.

    ``sleeps``: it is put to sleep when it gives way.
    """

    times: LoadTimes
    sleeps: bool = False
    next_kind: Kind = "cold"
    backoff: Backoff = field(default_factory=Backoff)
    let_go: bool = False

    @property
    def load_s(self) -> float:
        return self.times.seconds(self.next_kind)

    @property
    def turn_s(self) -> float:
        """What a turn of it costs, which is what the loaded one's residency is measured by.

        The first start of one that sleeps comes once, so it counts as the waking that its turns will be. One that has
        been started before and has to be again (its sleep or its waking failed, its engine ended) costs a start.
        """
        first = self.sleeps and not self.times.learned("cold")
        return self.times.seconds("wake") if first else self.load_s


class Policy:
    """One card's. ``resident``: what is loaded, since ``since``; ``wanted``: what an operator asked for; ``pinned``.

    ``unwanted``: nobody waited any more when it had been loaded, so it has no claim to stay.
    """

    def __init__(self, members: Mapping[str, Member], rules: ResidencyRules) -> None:
        self.members = dict(members)
        self.resident: str | None = None
        self.since = 0.0
        self.pinned: str | None = None
        self.wanted: str | None = None
        self.unwanted = False
        self.rules = rules
        self.budget = SwitchBudget(rules.switches_per_hour)

    def choose(self, now: float, demands: Mapping[str, Demand], rank: Callable[[str], float]) -> Switch | None:
        """What to switch to now; None: nothing.

        Args:
            rank: a key's attained service on this card.
        """
        ordered = self.pinned or self.wanted
        if ordered is not None:
            ready = ordered != self.resident and self.members[ordered].backoff.may_try(now)
            return Switch(ordered, "priority") if ready else None
        turns = [
            (rank(one.key), one.since, name, one, reason)
            for name in self.members
            for one, reason in self._due(now, name, demands)
        ]
        if not turns:
            return None
        _, _, name, waiter, reason = min(turns, key=lambda turn: turn[:2])
        return Switch(name, reason, waiter.key)

    def _due(self, now: float, name: str, demands: Mapping[str, Demand]) -> Iterator[tuple[Waiter, Reason]]:
        """Those of a model's waiters for whom it may be loaded at this moment."""
        member = self.members[name]
        if name == self.resident or not member.backoff.may_try(now):
            return
        for one in demands.get(name, NOTHING).waiters:
            if self.budget.may(one.key, now) and now >= self._due_at(now, one, member, demands)[0]:
                yield one, self._due_at(now, one, member, demands)[1]

    def _due_at(
        self, now: float, waiter: Waiter, member: Member, demands: Mapping[str, Demand]
    ) -> tuple[float, Reason]:
        """When the resident has to go for this waiter, if nothing else changes; and why."""
        if self.resident is None:
            return now, "idle"
        stays = self.members[self.resident]
        here = demands.get(self.resident, NOTHING)
        claimless = self.unwanted or stays.let_go
        if here.idle:
            return self.since + (0.0 if claimless else min(member.turn_s, IDLE_S)), "idle"
        patient = waiter.since + self.rules.patience_s + self.rules.ageing_s * max(0, waiter.level - here.level)
        claim = 0.0 if self.unwanted else self.rules.residency_factor * member.turn_s
        return max(patient, self.since + claim), "patience"

    def loaded(self, name: str, kind: Kind, seconds: float, now: float, waited_for: bool) -> None:
        """A load has ended well. ``waited_for``: somebody still waits for it."""
        member = self.members[name]
        member.times.record(kind, seconds)
        member.backoff.succeeded()
        self.adopt(name, now)
        self.unwanted = not waited_for and name not in (self.pinned, self.wanted)
        self.wanted = None if self.wanted == name else self.wanted

    def adopt(self, name: str | None, now: float) -> None:
        """This one is loaded; None: none is."""
        self.resident, self.since, self.unwanted = name, now, False
        for member in self.members.values():
            member.let_go = False

    def failed(self, name: str, why: str, now: float) -> None:
        """A load has come to nothing: the card is empty."""
        self.members[name].backoff.failed(why, now)
        self.adopt(None, now)
        self.wanted = None if self.wanted == name else self.wanted

    def wait_s(self, now: float, waiter: Waiter, name: str, demands: Mapping[str, Demand], drain_s: float) -> float:
        """How long somebody who comes now will wait for a model that is not loaded, while nothing is being switched.

        Args:
            drain_s: how long the running answers are expected to take.
        """
        if self.pinned not in (None, name):
            return math.inf
        member = self.members[name]
        others = [one for one in demands.get(name, NOTHING).waiters if self.budget.may(one.key, now)]
        mine = [waiter] if self.budget.may(waiter.key, now) else []
        if not others and not mine:
            return math.inf
        due = min(self._due_at(now, one, member, demands)[0] for one in [*others, *mine])
        drains = 0.0 if self.resident is None or demands.get(self.resident, NOTHING).idle else drain_s
        return (
            max(0.0, due - now, member.backoff.retry_at - now if member.backoff.why else 0.0) + drains + member.load_s
        )
