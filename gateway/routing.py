"""Which engine gets the next request: pure, without clock, socket or state."""

from __future__ import annotations

from collections.abc import Sequence


def choose(loads: Sequence[int], turn: int) -> int:
    """The index of the least loaded candidate.

    Args:
        loads: requests in flight for each candidate; never empty.
        turn: a number that grows with each request, so that equals take turns.
    """
    least = min(loads)
    equals = [index for index, load in enumerate(loads) if load == least]
    return equals[turn % len(equals)]
