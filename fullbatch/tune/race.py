"""The race: every arm once, then the best few against the plan on fresh boots, then the winner on another load. Pure.

Boots of a round stand in one order and in the next in the other (ABBA), so that what drifts falls on all alike. A
winner is looked for in rounds that had no part in choosing the finalists, at two looks that share one probability of
error, and confirmed with the load that was kept back. An arm is out once the upper end of its gain is below the margin;
when nothing can still win, the race ends.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fullbatch.core.errors import EngineError, UsageError
from fullbatch.tune.bench import ArmFailed, RaceBench
from fullbatch.tune.objective import Objective, Score
from fullbatch.tune.standing import PLAN, BootScore, Kind, Standing
from fullbatch.tune.statistics import Interval

_PAIRS_AT_LEAST, _PAIRS_AT_MOST = 3, 8
_FINALISTS = 2
_HOLD_OUT_PAIRS = 2
# Boots for one finalist and the hold-out: what a race needs beside its first round.
_TO_CONCLUDE = 2 * _PAIRS_AT_LEAST + 2 * _HOLD_OUT_PAIRS
# Of the probability of error: at the first look at a final, and at the last.
_FIRST_LOOK, _LAST_LOOK = 1 / 3, 2 / 3


@dataclass(frozen=True)
class RaceRules:
    """`margin`: a gain below it is none. `alpha`: probability that the whole race calls a winner that is none."""

    budget_s: float
    margin: float = math.log(1.05)
    alpha: float = 0.05


@dataclass
class RaceResult:
    """`winner` with its final interval and the one of the load kept back; `not_raced`: for want of time."""

    standing: Standing
    spent_s: float
    boot_s: float
    winner: str | None = None
    final: Interval | None = None
    held_out: Interval | None = None
    confirmed: bool = False
    finalists: list[str] = field(default_factory=list)
    not_raced: list[str] = field(default_factory=list)
    capped: bool = False


class Race:
    """`arms`: the most promising first, without the plan. `tell`: a line for whoever waits."""

    def __init__(
        self, arms: Sequence[str], bench: RaceBench, objective: Objective, rules: RaceRules, tell: Callable[[str], None]
    ) -> None:
        self._arms, self._bench, self._objective, self._rules, self._tell = list(arms), bench, objective, rules, tell
        self._round = 0
        self._cost = 0.0
        self.standing = Standing()
        self._result = RaceResult(self.standing, 0.0, 0.0)

    def run(self) -> RaceResult:
        """UsageError where the promise or the budget makes no race; EngineError where the plan does not start."""
        self._screen()
        if not self._result.capped:
            self._halve()
            self._finals()
        self._result.spent_s, self._result.boot_s = self._bench.spent(), self._cost
        return self._result

    def _boots_left(self) -> int:
        return int((self._rules.budget_s - self._bench.spent()) / self._cost)

    def _boot(self, arm: str, kind: Kind) -> Score | None:
        """None where it did not start; its time counts as any other's."""
        held_out, guess = kind == "hold-out", self.standing.last(arm)
        before = self._bench.spent()
        try:
            boot = self._bench.boot(arm, held_out)
            try:
                score = self._objective.score(boot, held_out, self.standing.last(PLAN) if guess is None else guess)
            finally:
                boot.end()
        except ArmFailed as error:
            self.standing.failed[arm] = str(error)
            self._tell(f"{arm}: {error}")
            return None
        took = self._bench.spent() - before
        self._cost = took if not self._cost else 0.7 * self._cost + 0.3 * took
        self.standing.boots.append(BootScore(arm, self._round, kind, score, self._bench.spent()))
        self._tell(f"round {self._round}, {kind}: {arm}: {score.shown:.4g} {self._objective.unit} ({took:.0f} s)")
        return score

    def _screen(self) -> None:
        self._round = 1
        plan = self._boot(PLAN, "screening")
        if plan is None:
            raise EngineError(f"the plan itself does not start: {self.standing.failed[PLAN]}")
        if self._bench.spent() > self._rules.budget_s:
            raise UsageError(
                f"--budget: one boot with its loads took {self._cost:.0f} s; write at least "
                f"{math.ceil(self._cost * (_TO_CONCLUDE + 2) / 60)}m for a race that can end"
            )
        self._result.capped = plan.capped
        if plan.capped:
            return
        for number, arm in enumerate(self._arms):
            if self._boots_left() - _TO_CONCLUDE < 1 and number:
                self._result.not_raced = self._arms[number:]
                self._tell(f"no time for {', '.join(self._result.not_raced)}")
                break
            if self._boots_left() < 1:
                self._result.not_raced = self._arms[number:]
                break
            self._boot(arm, "screening")

    def _halve(self) -> None:
        """A second round of the better half, while twice as many as finalists are left and time is."""
        alive = self.standing.raced()
        half = alive[: -(-len(alive) // 2)]
        if len(half) > _FINALISTS and self._boots_left() >= len(half) + 1 + _PAIRS_AT_LEAST + _TO_CONCLUDE:
            self._run_round(half, "screening")

    def _run_round(self, arms: Sequence[str], kind: Kind) -> None:
        self._round += 1
        order = [PLAN, *arms] if self._round % 2 else [*reversed(arms), PLAN]
        for arm in order:
            if arm not in self.standing.failed and self._boot(arm, kind) is None and arm == PLAN:
                raise EngineError(f"the plan does not start any more: {self.standing.failed[PLAN]}")

    def _open(self, tried: Sequence[str]) -> list[str]:
        """Arms that may still win, without those whose final was undecided."""
        return [arm for arm in self.standing.raced() if arm not in tried and self._can_win(arm)]

    def _can_win(self, arm: str) -> bool:
        return self.standing.gain(arm).high >= self._rules.margin

    def _finals(self) -> None:
        """The best two, or one; then the next that may still win, with half the probability of error left."""
        tried: list[str] = []
        alpha = self._rules.alpha
        while (candidates := self._open(tried)) and self._boots_left() >= _TO_CONCLUDE:
            count = _FINALISTS if self._boots_left() >= _TO_CONCLUDE + _PAIRS_AT_LEAST else 1
            finalists = candidates[:count]
            tried += finalists
            alpha /= 2
            if self._final(finalists, alpha / len(finalists)):
                return

    def _final(self, finalists: Sequence[str], alpha: float) -> bool:
        """Whether there is a winner; then its load that was kept back is measured."""
        since = self._round + 1
        time_for = (self._boots_left() - 2 * _HOLD_OUT_PAIRS) // (len(finalists) + 1)
        pairs = min(_PAIRS_AT_MOST, time_for)
        self._result.finalists += finalists
        self._tell(f"final: {', '.join(finalists)} against the plan, up to {pairs} boots of each")
        racing = list(finalists)
        for number in range(1, pairs + 1):
            # A boot may have become slower than those that the number of pairs was reckoned from.
            if number > _PAIRS_AT_LEAST and self._boots_left() < len(racing) + 1 + 2 * _HOLD_OUT_PAIRS:
                pairs = number - 1
                break
            self._run_round(racing, "final")
            racing = [arm for arm in racing if arm not in self.standing.failed]
            if (
                number == _PAIRS_AT_LEAST
                and pairs > number
                and self._won(racing, finalists, since, alpha * _FIRST_LOOK)
            ):
                return True
            if number > 1:
                racing = [arm for arm in racing if self._can_win(arm)]
            if not racing:
                self._tell("none of them can still win")
                return False
        share = _LAST_LOOK if pairs > _PAIRS_AT_LEAST else 1.0
        return self._won(racing, finalists, since, alpha * share)

    def _won(self, racing: Sequence[str], finalists: Sequence[str], since: int, alpha: float) -> bool:
        found = {arm: self.standing.final(arm, finalists, since, alpha) for arm in racing}
        winners = [arm for arm, one in found.items() if one.low > 0 and one.mean >= self._rules.margin]
        if not winners:
            return False
        winner = max(winners, key=lambda arm: found[arm].mean)
        self._result.winner, self._result.final = winner, found[winner]
        self._tell(f"{winner} is ahead; the load that was kept back decides")
        for _ in range(_HOLD_OUT_PAIRS):
            self._run_round([winner], "hold-out")
        self._result.held_out = self.standing.held_out(winner)
        self._result.confirmed = self._result.held_out is not None and self._result.held_out.low > 0
        return True
