"""A card on a simulated clock: two models that do not fit together, and a rule that says whose turn it is.

Modelled: Poisson arrivals, answers of exponential length (mean 10 s) whatever the batch, 16 seats, first come first
served within a model, a switch that waits for all running answers and then takes S. Not modelled: keys, levels, tokens,
prefix caches, an engine that is slower when it is full, clients that leave.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from gateway.residency.load_times import LoadTimes
from gateway.residency.policy import Demand, Member, Policy, Reason, ResidencyRules, Waiter

SEATS, MEAN_S, HOURS_S, STEP_S = 16, 10.0, 7200.0, 0.25


@dataclass
class Run:
    """What came out. ``lost``: the share of time in which the card was being switched."""

    lost: float = 0.0
    switches: int = 0
    came: int = 0
    served: int = 0
    waits: dict[str, list[float]] = field(default_factory=lambda: {"A": [], "B": []})


@dataclass
class Moment:
    """What a rule sees. ``waiting``: the arrivals of those who wait, the oldest first."""

    now: float
    resident: str
    since: float
    running: int
    waiting: dict[str, deque[float]]

    @property
    def other(self) -> str:
        return "B" if self.resident == "A" else "A"


Rule = Callable[[Moment], str | None]


def loaded_first(moment: Moment) -> str | None:
    """llama-swap and Ollama, by reading: another one only when nothing is left for this one."""
    here = moment.waiting[moment.resident] or moment.running
    return moment.other if moment.waiting[moment.other] and not here else None


def oldest_first(moment: Moment) -> str | None:
    here, there = moment.waiting[moment.resident], moment.waiting[moment.other]
    return moment.other if there and there[0] < (here[0] if here else moment.now) else None


class ByPolicy:
    """Ours. ``reasons``: of each switch."""

    def __init__(self, switch_s: float, rules: ResidencyRules) -> None:
        self._policy = Policy({name: Member(LoadTimes(switch_s, switch_s)) for name in "AB"}, rules)
        self.reasons: list[Reason] = []

    def __call__(self, moment: Moment) -> str | None:
        self._policy.resident, self._policy.since = moment.resident, moment.since
        # Within a model the oldest one alone counts here: all have one key and one level.
        demands = {name: _demand(moment, name) for name in moment.waiting}
        found = self._policy.choose(moment.now, demands, lambda _: 0.0)
        if found is None:
            return None
        self.reasons.append(found.reason)
        return found.to


def _demand(moment: Moment, name: str) -> Demand:
    running = moment.running if name == moment.resident else 0
    waiters = [Waiter("k", 1, queue[0])] if (queue := moment.waiting[name]) else []
    return Demand(waiters, running, 1 if running else 99)


def simulate(rates: dict[str, float], switch_s: float, rule: Rule, seed: int) -> Run:
    """Two hours."""
    chance = random.Random(seed)
    arrivals = sorted((at, name) for name, rate in rates.items() for at in _poisson(chance, rate))
    return simulate_arrivals(arrivals, switch_s, rule, chance, HOURS_S)


def simulate_arrivals(
    came: Iterable[tuple[float, str]], switch_s: float, rule: Rule, chance: random.Random, until_s: float
) -> Run:
    """``came``: when somebody came, and for which model."""
    run, arrivals = Run(), deque(came)
    run.came = len(arrivals)
    moment = Moment(0.0, "A", 0.0, 0, {"A": deque(), "B": deque()})
    ends: list[float] = []
    target, ready_at = "", 0.0
    while moment.now < until_s:
        while arrivals and arrivals[0][0] <= moment.now:
            at, name = arrivals.popleft()
            moment.waiting[name].append(at)
        while ends and ends[0] <= moment.now:
            heapq.heappop(ends)
            run.served += 1
        if ready_at:
            run.lost += STEP_S / until_s
            if moment.now >= ready_at:
                moment.resident, moment.since, target, ready_at = target, moment.now, "", 0.0
        elif target:
            if not ends:
                ready_at = moment.now + switch_s
                run.switches += 1
        else:
            _admit(moment, run, ends, chance)
            moment.running = len(ends)
            target = rule(moment) or ""
        moment.now += STEP_S
    return run


def _admit(moment: Moment, run: Run, ends: list[float], chance: random.Random) -> None:
    queue = moment.waiting[moment.resident]
    while queue and len(ends) < SEATS:
        run.waits[moment.resident].append(moment.now - queue.popleft())
        heapq.heappush(ends, moment.now + chance.expovariate(1 / MEAN_S))


def _poisson(chance: random.Random, rate: float) -> list[float]:
    found, at = [], chance.expovariate(rate)
    while at < HOURS_S:
        found.append(at)
        at += chance.expovariate(rate)
    return found
