"""The ratio of two points: by how many times one is better, and whether they may be compared at all. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from loadtest.analysis.intervals import Estimate, ratio
from loadtest.analysis.points import HIGHER_IS_BETTER, Point

LENGTH_GUARD = 0.05  # output tokens per answer may differ by this share
_EACH = 0.975  # so that a ratio of two holds at 95 %


@dataclass(frozen=True, slots=True)
class Compared:
    """`better`: how many times better `own` is than `other`; above 1 in favour of `own`, whichever way is better."""

    metric: str
    own: Estimate
    other: Estimate
    better: Estimate

    @property
    def surely_better(self) -> bool:
        return self.better.low is not None and self.better.low > 1

    @property
    def surely_worse(self) -> bool:
        return self.better.high is not None and self.better.high < 1


def compare(own: Point, other: Point, metric: str) -> Compared | None:
    """None when one of them does not know the metric, or is 0 where it would have to be divided by."""
    mine, theirs = own.estimate(metric, _EACH), other.estimate(metric, _EACH)
    if mine is None or theirs is None:
        return None
    better = ratio(mine, theirs) if metric in HIGHER_IS_BETTER else ratio(theirs, mine)
    return None if better is None else Compared(metric, mine, theirs, better)


def unlike(own: Point, other: Point) -> str | None:
    """Why two points cannot be compared, in a few words; None when they can."""
    for point in (own, other):
        if not point.answers:
            return f"{point.side} has no good answer"
        if point.failures:
            return f"{point.side}: {point.failures} of {point.requests} requests failed"
        if not point.complete:
            return f"{point.side} was stopped before its end"
    for name in ("mode", "requests_per_user", "rate"):
        mine, theirs = own.stages[0].get(name), other.stages[0].get(name)
        if mine != theirs:
            return f"{name.replace('_', ' ')}: {own.side} had {mine}, {other.side} had {theirs}"
    return _other_length(own, other)


def _other_length(own: Point, other: Point) -> str | None:
    mine, theirs = own.output_tokens_mean, other.output_tokens_mean
    if not mine or not theirs or abs(mine - theirs) <= LENGTH_GUARD * max(mine, theirs) + 1e-9:
        return None
    told = f"{own.side} answered {mine:.1f} tokens on average, {other.side} {theirs:.1f}"
    return f"{told}: more than {LENGTH_GUARD:.0%} apart, so not the same work"
