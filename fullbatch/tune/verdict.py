"""A race in one of three words: better, the plan is fine, cannot tell; and what each rests on. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from fullbatch.tune.race import RaceResult, RaceRules
from fullbatch.tune.standing import PLAN, Standing
from fullbatch.tune.statistics import Interval

Word = Literal["better", "the plan is fine", "cannot tell"]
# A race of more hours than this is not worth naming.
_MOST_MORE_BOOTS = 200


@dataclass(frozen=True)
class TuneVerdict:
    """`word`, one sentence that says it, and sentences on what it rests."""

    word: Word
    sentence: str
    reasons: tuple[str, ...] = ()
    winner: str | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"reasons": list(self.reasons)}


def judge(found: RaceResult, rules: RaceRules, unit: str) -> TuneVerdict:
    """What the race says; `unit` of what was raced for."""
    standing = found.standing
    if found.winner and found.confirmed:
        assert found.final and found.held_out
        low, high = percent(found.final.low), percent(found.final.high)
        return TuneVerdict(
            "better",
            f"{found.winner} is better than the plan by {percent(found.final.mean)} ({low} to {high}): about "
            f"{standing.shown(found.winner):.3g} {unit} instead of {standing.shown(PLAN):.3g}",
            (f"on the load that was kept back: {told(found.held_out)}", *_beside(found)),
            found.winner,
        )
    if found.winner:
        return TuneVerdict("cannot tell", *_not_confirmed(found))
    may_win = [arm for arm in standing.raced() if standing.gain(arm).high >= rules.margin]
    raced = standing.raced()
    if raced and not may_win and not found.not_raced:
        nearest = raced[0]
        return TuneVerdict(
            "the plan is fine",
            f"no arm is better by {percent(rules.margin)} or more; the nearest, {nearest}, is at "
            f"{told(standing.gain(nearest))}",
            tuple(_beside(found)),
        )
    return TuneVerdict("cannot tell", *_open(found, rules, may_win))


def _not_confirmed(found: RaceResult) -> tuple[str, tuple[str, ...]]:
    assert found.winner and found.final
    more = math.ceil(8 * found.boot_s / 60)
    held = told(found.held_out) if found.held_out else "not measured"
    return (
        f"{found.winner} was ahead by {told(found.final)}, and the load that was kept back does not confirm it: {held}",
        (f"it would take about {more} more minutes, or the load that you have in service (--workload)",),
    )


def _open(found: RaceResult, rules: RaceRules, may_win: list[str]) -> tuple[str, tuple[str, ...]]:
    standing = found.standing
    reasons = [f"{arm}: {told(standing.gain(arm))}" for arm in may_win[:4]]
    if found.not_raced:
        reasons.append(f"not raced for want of time: {', '.join(found.not_raced)}")
    if not standing.raced() and not found.not_raced:
        return "no arm but the plan has started", tuple(_beside(found))
    boots = needed_boots(standing, rules, may_win, len(found.not_raced))
    if boots is None or boots > _MOST_MORE_BOOTS:
        reasons.append("boots differ so much that hours would not decide it; race on a machine that nobody else uses")
    else:
        minutes = math.ceil((found.spent_s + boots * found.boot_s) / 60)
        reasons.append(
            f"it would take about {boots} more boots: --budget {minutes}m with the same --out goes on from here"
        )
    what = f"{len(may_win)} of {len(standing.raced())} arms may be better by {percent(rules.margin)} or more, or not"
    return what if may_win else "not every arm was raced", (*reasons, *_beside(found))


def needed_boots(standing: Standing, rules: RaceRules, may_win: list[str], not_raced: int) -> int | None:
    """Boots until intervals of these arms are as narrow as the margin, by the noise so far; None: it is not known."""
    noise = standing.noise()
    if not noise.degrees:
        return 3 * (len(may_win) + not_raced + 1)
    pairs = max(3, math.ceil(2 * (2.5 * noise.sd / rules.margin) ** 2))
    more = sum(max(1, pairs - len(standing.differences(arm, ("screening", "final")))) for arm in may_win)
    return 2 * (more + pairs * min(not_raced, 2))


def _beside(found: RaceResult) -> list[str]:
    noise = found.standing.noise()
    said = [f"{arm} did not start: {why}" for arm, why in found.standing.failed.items()]
    if noise.degrees:
        said.append(f"two boots of one arm differ by about {100 * math.expm1(noise.sd * math.sqrt(2)):.1f} %")
    return said


def percent(log: float) -> str:
    """A log ratio as a gain: +12.3 %."""
    if math.isinf(log):
        return "any gain" if log > 0 else "any loss"
    return f"{100 * math.expm1(log):+.1f} %"


def told(one: Interval) -> str:
    """An interval for a person."""
    if math.isinf(one.high):
        return f"{percent(one.mean)} in {one.pairs} {'pair' if one.pairs == 1 else 'pairs'} of boots, its error unknown"
    pairs = "1 pair" if one.pairs == 1 else f"{one.pairs} pairs"
    return f"{percent(one.mean)} ({percent(one.low)} to {percent(one.high)}, {pairs} of boots)"


def as_json(one: Interval | None) -> Mapping[str, Any] | None:
    """None for ends that are not known: JSON has no infinity."""
    if one is None:
        return None
    return {
        key: None if isinstance(value, float) and math.isinf(value) else value for key, value in asdict(one).items()
    }
