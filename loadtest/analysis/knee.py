"""The knee: the concurrency after which goodput stops growing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loadtest.analysis.points import Point

GROWTH = 0.05
DEFINITION = (
    "The lowest measured number of users whose goodput is within 5 % of the highest measured. Goodput: answers per "
    "second that keep the SLO. It is not reached when the highest goodput is at the largest stage and no smaller one "
    "comes within 5 % of it."
)


@dataclass(frozen=True, slots=True)
class Knee:
    """`users` is None when there is none; `text` is the sentence for a person."""

    side: str
    users: int | None
    text: str


def knee(side: str, points: Sequence[Point]) -> Knee:
    """Of one side's points with a number of users; those whose client was too slow do not count."""
    measured: dict[int, float] = {}
    for point in points:
        estimate = point.estimate("goodput_per_s")
        counts = point.side == side and point.users is not None and point.mode != "soak" and point.valid
        if counts and point.users is not None and estimate is not None:
            measured[point.users] = max(estimate.value, measured.get(point.users, 0.0))
    steps = sorted(measured)
    if len(steps) < 3:
        return Knee(side, None, "not known: at least three valid stages with different numbers of users are needed")
    highest = max(measured.values())
    if highest <= 0:
        return Knee(side, None, "none: no answer kept the SLO at any number of users")
    found = next(users for users in steps if measured[users] >= (1 - GROWTH) * highest)
    if found == steps[-1]:
        return Knee(side, None, f"not reached: goodput still grew at {found} users ({measured[found]:.3g} requests/s)")
    after = steps[steps.index(found) + 1]
    further = " and ".join(f"{measured[users]:.3g} at {users}" for users in dict.fromkeys((after, steps[-1])))
    return Knee(side, found, f"{found} users ({measured[found]:.3g} requests/s there, {further})")
