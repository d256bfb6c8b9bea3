"""Arrivals: the modes, the stages they make, and the intended start of each request. Pure.

closed    each of N users asks again when its last answer has ended; a fixed number of requests per user
burst     N users, one request each, all let go at the same moment: its total time is the makespan of N
open      Poisson arrivals at a rate that no answer can slow down; every time counts from the intended start
ramp      open, with a rate that rises (or falls) in a straight line
soak      closed, for a time instead of a number of requests
replay    open, at the times that a trace says, or so many times as fast
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Mode = Literal["closed", "burst", "open", "ramp", "soak", "replay"]
MODES: tuple[Mode, ...] = ("closed", "burst", "open", "ramp", "soak", "replay")
OPEN_LOOP: tuple[Mode, ...] = ("open", "ramp", "replay")


@dataclass(frozen=True, slots=True)
class StagePlan:
    """One stage before it begins. `rate` is (first, last) in requests/s, `seconds` how long requests are sent.

    `number` is unique in a run; `position` counts the stages of one repeat, so the same position in another repeat or
    on another side is the same stage again. What does not apply to the mode is None.
    """

    number: int
    position: int
    repeat: int
    side: str
    mode: Mode
    users: int | None = None
    requests_per_user: int | None = None
    rate: tuple[float, float] | None = None
    seconds: float | None = None

    @property
    def label(self) -> str:
        users = "1 user" if self.users == 1 else f"{self.users} users"
        if self.rate is not None:
            first, last = self.rate
            if self.mode == "replay":
                return "replayed" if first == 1 else f"replayed {first:g} times as fast"
            return f"{first:g}/s" if first == last else f"{first:g} to {last:g}/s"
        if self.mode == "burst":
            return f"burst of {self.users}"
        return f"{users} for {self.seconds:g} s" if self.seconds is not None else users


@dataclass(frozen=True, slots=True)
class Arrivals:
    """How a run's requests arrive: one stage for each of `users`, or for each of `rates` (a ramp: from, to)."""

    mode: Mode = "closed"
    users: tuple[int, ...] = (1, 5, 10, 50)
    requests_per_user: int = 4
    rates: tuple[float, ...] = ()
    seconds: float = 60.0

    def stages(self) -> list[StagePlan]:
        """The stages of one repeat, with number and position alike."""
        if self.mode == "ramp":
            first, last = self.rates
            return [StagePlan(1, 1, 1, "", "ramp", rate=(first, last), seconds=self.seconds)]
        if self.mode in ("open", "replay"):
            return [
                StagePlan(n, n, 1, "", self.mode, rate=(rate, rate), seconds=self.seconds)
                for n, rate in enumerate(self.rates, start=1)
            ]
        seconds = self.seconds if self.mode == "soak" else None
        each = {"closed": self.requests_per_user, "burst": 1, "soak": None}[self.mode]
        return [
            StagePlan(n, n, 1, "", self.mode, users=users, requests_per_user=each, seconds=seconds)
            for n, users in enumerate(self.users, start=1)
        ]

    @property
    def sentence(self) -> str:
        """For a report's reader."""
        return {
            "closed": "closed: a user sends its next request when the last has ended",
            "burst": "burst: every user sends one request, all at the same moment",
            "open": "open: Poisson arrivals that wait for no answer, timed from the intended start",
            "ramp": "open, rising rate: Poisson arrivals that wait for no answer, timed from the intended start",
            "replay": "open, at a trace's own times: requests wait for no answer, timed from the intended start",
            "soak": "closed, for a time: a user sends its next request when the last has ended",
        }[self.mode]


def interleaved(arrivals: Arrivals, sides: Sequence[str], repeats: int) -> list[StagePlan]:
    """All stages of a run in the order they run.

    Each stage visits all sides before the next begins, and every other repeat visits them in reverse, so that what
    drifts (temperature, neighbours) falls on all sides alike.
    """
    plans: list[StagePlan] = []
    for repeat in range(1, repeats + 1):
        order = list(sides) if repeat % 2 else list(reversed(sides))
        for stage in arrivals.stages():
            for side in order:
                number = len(plans) + 1
                plans.append(
                    StagePlan(
                        number, stage.position, repeat, side, stage.mode,
                        stage.users, stage.requests_per_user, stage.rate, stage.seconds,
                    )
                )  # fmt: skip
    return plans


def poisson(rate: tuple[float, float], seconds: float, source: random.Random) -> list[float]:
    """Intended starts in seconds from 0: a Poisson process whose rate goes from rate[0] to rate[1] in a straight line.

    Made by inverting the expected count a*t + (b - a)*t^2/(2*seconds) at the steps of a unit-rate process.
    """
    first, last = rate
    slope = (last - first) / seconds
    total = (first + last) / 2 * seconds
    starts, expected = [], source.expovariate(1.0)
    while expected < total:
        root = math.sqrt(max(0.0, first * first + 2 * slope * expected))
        starts.append(2 * expected / (first + root))
        expected += source.expovariate(1.0)
    return starts
