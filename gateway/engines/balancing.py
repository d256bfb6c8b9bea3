"""Load balancing: which replica gets the next request. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

# Among so few all are compared; among more, two drawn at random: nearly as even, and no herd goes to one that has
# just come back with nothing to do (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001).
COMPARE_ALL = 8
# Affinity holds while the engine that knows the prompt has at most so many times the work of the least loaded …
ESCAPE_FACTOR = 1.5
# … and, besides, this share of its slots filled with requests like this one, less where less of the prompt is known.
ESCAPE_SHARE = 0.25


def choose(work: Sequence[float], turn: int, random: Callable[[], float]) -> int:
    """The index of the candidate with the least outstanding work.

    Args:
        work: estimated tokens outstanding at each candidate; never empty.
        turn: a number that grows with each request, so that equals take turns.
        random: numbers from 0 up to 1; only asked for when there are many candidates.
    """
    count = len(work)
    if count > COMPARE_ALL:
        first = int(random() * count)
        second = (first + 1 + int(random() * (count - 1))) % count
        return first if work[first] <= work[second] else second
    least = min(work)
    if work.count(least) == 1:
        return work.index(least)
    equals = [index for index, one in enumerate(work) if one == least]
    return equals[turn % len(equals)]


def keeps(work: float, least: float, known: float, slots: int, cost: float) -> bool:
    """Whether an engine that knows a prompt's beginning gets it although another one has less to do.

    It does while ``work <= 1.5 * least + 0.25 * slots * cost * known``.

    Args:
        work: outstanding at the engine that knows it, and ``least`` at the least loaded, in tokens.
        known: the share of the prompt that it knows, 0 to 1.
        slots: requests that it may have at once.
        cost: what this request is expected to cost, in the same tokens.
    """
    return work <= ESCAPE_FACTOR * least + ESCAPE_SHARE * slots * cost * known
