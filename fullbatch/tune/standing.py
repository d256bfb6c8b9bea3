"""How a race stands: boots by round, and what they say of each arm against the plan. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Literal

from fullbatch.tune import statistics
from fullbatch.tune.objective import Score
from fullbatch.tune.statistics import Interval, Noise

PLAN = "plan"
# The upper end of one arm's gain is wrong for one truly better arm in twenty.
_ALPHA_ONE_SIDED = 0.05
Kind = Literal["screening", "final", "hold-out"]


@dataclass(frozen=True)
class BootScore:
    """One boot of an arm: in which round, of which kind, what came of it, and when it ended (seconds of the budget)."""

    arm: str
    round: int
    kind: Kind
    score: Score
    at_s: float


@dataclass
class Standing:
    """Boots so far; `failed`: arms that did not start, with the reason."""

    boots: list[BootScore] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def rounds(self, kinds: Iterable[Kind], arms: Iterable[str] | None = None) -> list[dict[str, float]]:
        """Values by arm, round by round."""
        only, wanted = None if arms is None else {*arms, PLAN}, set(kinds)
        found: dict[int, dict[str, float]] = {}
        for one in self.boots:
            if one.kind in wanted and (only is None or one.arm in only):
                found.setdefault(one.round, {})[one.arm] = one.score.value
        return list(found.values())

    def differences(self, arm: str, kinds: Iterable[Kind], since: int = 0) -> list[float]:
        """Log of arm by plan, of each round from `since` on that has both."""
        wanted = set(kinds)
        found: dict[int, dict[str, float]] = {}
        for one in self.boots:
            if one.kind in wanted and one.round >= since and one.arm in (arm, PLAN):
                found.setdefault(one.round, {})[one.arm] = one.score.value
        return [one[arm] - one[PLAN] for one in found.values() if len(one) == 2]

    def noise(self, arms: Iterable[str] | None = None) -> Noise:
        """Of one boot: of all arms, or of some and the plan; the load that is kept back included."""
        names = None if arms is None else list(arms)
        raced = statistics.noise(self.rounds(("screening", "final"), names))
        return statistics.joined(raced, statistics.noise(self.rounds(("hold-out",), names)))

    def gain(self, arm: str) -> Interval:
        """Of all its rounds; the upper end holds for 95 of 100 arms, so does the lower."""
        found = self.differences(arm, ("screening", "final"))
        return statistics.interval(found, self.noise(), 2 * _ALPHA_ONE_SIDED)

    def mean(self, arm: str) -> float | None:
        """Log of arm by plan over all its rounds; None where it has none."""
        found = self.differences(arm, ("screening", "final"))
        return fmean(found) if found else None

    def final(self, arm: str, arms: Sequence[str], since: int, alpha: float) -> Interval:
        """Of its final rounds alone, which had no part in choosing it; noise of the finalists and the plan."""
        found = self.differences(arm, ("final",), since)
        return statistics.interval(found, self.noise(arms), alpha)

    def held_out(self, arm: str) -> Interval | None:
        """Of the load that was kept back; None where it was not measured."""
        found = self.differences(arm, ("hold-out",))
        return statistics.interval(found, self.noise([arm]), 2 * _ALPHA_ONE_SIDED) if found else None

    def last(self, arm: str) -> float | None:
        """Its value in its last boot with the load that is raced for."""
        return next(
            (one.score.value for one in reversed(self.boots) if one.arm == arm and one.kind != "hold-out"), None
        )

    def shown(self, arm: str) -> float:
        """The number for a person: the geometric mean of its boots with the load that is raced for."""
        logs = [one.score.value for one in self.boots if one.arm == arm and one.kind != "hold-out"]
        return math.exp(sum(logs) / len(logs))

    def raced(self) -> list[str]:
        """Arms that have a boot, without the plan, the best mean first."""
        names = {one.arm for one in self.boots} - {PLAN} - self.failed.keys()
        means = {name: mean for name in sorted(names) if (mean := self.mean(name)) is not None}
        return sorted(means, key=lambda name: -means[name])
