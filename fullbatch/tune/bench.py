"""What a race asks of a bench: boot an arm, measure a load. Engines of this machine do it, or a simulation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class RaceLoad:
    """`users` that ask one thing after the other. `held_out`: of the load that is kept back for the winner."""

    users: int
    held_out: bool = False


@dataclass(frozen=True)
class MeasuredLoad:
    """`figures`: milliseconds and tokens a second by the names of `simulate.figures`.

    `failures`: requests that got no whole answer. `valid`: the client was fast enough to be believed.
    """

    figures: Mapping[str, float] = field(default_factory=dict)
    failures: int = 0
    valid: bool = True


class ArmFailed(Exception):
    """An arm that does not start, or dies: why, in one line. It costs that arm only."""


class Boot(Protocol):
    """One start of an arm."""

    def measure(self, load: RaceLoad) -> MeasuredLoad:
        """ArmFailed when it has died."""

    def end(self) -> None:
        """Whatever came of it."""


class RaceBench(Protocol):
    """Boots arms by name, one at a time."""

    def boot(self, arm: str, held_out: bool = False) -> Boot:
        """ArmFailed when it does not start. `held_out`: it will only be measured with the load that is kept back."""

    def spent(self) -> float:
        """Seconds of the budget that are gone."""
