"""What a boot is worth: the most people within the promise, tokens a second, or one person's speed. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from fullbatch.tune.bench import Boot, MeasuredLoad, RaceLoad

# Users between the most that held and the fewest that did not, as a ratio: nearer says no more than noise.
_NEAR = 1.12
_MOST_PROBES = 8
# Bounds of the log of figure / promise: a stall of minutes says no more than "not within it".
_FAR = 3.0
_FIRST_FACTOR = 2.0
_KNOWN_FACTOR = 1.3


@dataclass(frozen=True)
class Score:
    """`value`: log of what is compared; `shown`: the number for a person. `capped`: all that was tried held."""

    value: float
    shown: float
    capped: bool = False


class Objective(Protocol):
    """`name` of what is raced for, `unit` of a score's `shown`."""

    name: str
    unit: str

    def score(self, boot: Boot, held_out: bool, guess: float | None) -> Score:
        """Measures as many loads as it needs. `guess`: the arm's score before, or the plan's."""


@dataclass(frozen=True)
class People(Objective):
    """The most users within `promised` (milliseconds), up to `most`, between the two loads around it.

    A whole number of people would be too coarse for differences of a few percent: the crossing is read between the most
    that held and the fewest that did not, on logarithms of users and of the worst figure by its promise.
    """

    promised: Mapping[str, float]
    most: int
    name: str = "people within the promise"
    unit: str = "people"

    def score(self, boot: Boot, held_out: bool, guess: float | None) -> Score:
        margins: dict[int, float] = {}
        users = 4 if guess is None else round(math.exp(guess))
        factor = _FIRST_FACTOR if guess is None else _KNOWN_FACTOR
        users = min(max(users, 1), self.most)
        while users not in margins and len(margins) < _MOST_PROBES:
            margins[users] = self.margin(boot.measure(RaceLoad(users, held_out)))
            users = self._next(margins, factor)
            factor = factor**1.5
        return self._crossing(margins)

    def margin(self, found: MeasuredLoad) -> float:
        """Log of the worst figure by its promise: at most 0 where it holds."""
        if found.failures:
            return _FAR
        worst = max(found.figures[name] / most for name, most in self.promised.items())
        return min(max(math.log(max(worst, 1e-9)), -_FAR), _FAR)

    def _next(self, margins: Mapping[int, float], factor: float) -> int:
        low, high = _bracket(margins)
        if high is None:
            return min(max(round(max(margins) * factor), max(margins) + 1), self.most)
        if low is None:
            return max(1, min(round(high / factor), high - 1))
        if high - low == 1 or high / low < _NEAR:
            return low
        return min(max(round(math.sqrt(low * high)), low + 1), high - 1)

    def _crossing(self, margins: Mapping[int, float]) -> Score:
        low, high = _bracket(margins)
        if high is None:
            assert low is not None
            return Score(math.log(low), low, capped=low >= self.most)
        if low is None:
            return Score(math.log(high) - margins[high], 0.0 if high == 1 else high - 1)
        share = -margins[low] / (margins[high] - margins[low])
        return Score(math.log(low) + share * (math.log(high) - math.log(low)), low)


def _bracket(margins: Mapping[int, float]) -> tuple[int | None, int | None]:
    """The fewest users that did not hold, and the most below them that did."""
    high = min((users for users, margin in margins.items() if margin > 0), default=None)
    low = max((users for users, margin in margins.items() if margin <= 0 and users < (high or math.inf)), default=None)
    return low, high


@dataclass(frozen=True)
class Tokens(Objective):
    """Tokens a second of `users` at once."""

    users: int
    name: str = "tokens a second"
    unit: str = "tokens/s"

    def score(self, boot: Boot, held_out: bool, guess: float | None) -> Score:  # noqa: ARG002 - it needs no guess
        found = boot.measure(RaceLoad(self.users, held_out))
        rate = 1e-3 if found.failures else max(found.figures["output_tokens_per_s"], 1e-3)
        return Score(math.log(rate), rate)


def alone() -> Tokens:
    """One person's tokens a second, waiting for the first included."""
    return Tokens(1, "one person's tokens a second")
