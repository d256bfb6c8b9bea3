"""A histogram of seconds that merges exactly: live numbers of several processes and Prometheus' buckets from one count.

Prometheus' bounds are the preferred numbers 1, 1.25, 1.6, 2, 2.5, 3.15, 4, 5, 6.3, 8 of every decade from 1 ms to
100 s; each step between two of them is split into ten, so that a percentile is right within 2.8 % above 1 ms.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

_PREFERRED = (1, 1.25, 1.6, 2, 2.5, 3.15, 4, 5, 6.3, 8)
_SPLIT = 10
BOUNDS: tuple[float, ...] = (*(round(p * 10.0**e, 6) for e in range(-3, 2) for p in _PREFERRED), 100.0)


def _fine(bounds: Sequence[float]) -> list[float]:
    edges = [0.0, *bounds]
    steps = zip(edges, edges[1:], strict=False)
    # The last of each ten is the bound itself, exactly.
    parts = range(1, _SPLIT + 1)
    return [high if part == _SPLIT else low + (high - low) * part / _SPLIT for low, high in steps for part in parts]


_FINE = _fine(BOUNDS)


class LatencyHistogram:
    """Counts of values, in seconds. Values above the last bound are counted without a place."""

    def __init__(self, counts: Mapping[int, int] | None = None, total: float = 0.0) -> None:
        self._counts = dict(counts or {})
        self.sum = total

    @property
    def count(self) -> int:
        return sum(self._counts.values())

    def add(self, seconds: float, times: int = 1) -> None:
        place = bisect_left(_FINE, seconds)
        self._counts[place] = self._counts.get(place, 0) + times
        self.sum += seconds * times

    def merge(self, other: LatencyHistogram) -> None:
        for place, count in other._counts.items():
            self._counts[place] = self._counts.get(place, 0) + count
        self.sum += other.sum

    def quantile(self, q: float) -> float | None:
        """Seconds, linear within a bucket; None without values, the last bound for values above it."""
        wanted, below = q * self.count, 0
        for index in sorted(self._counts):
            here = self._counts[index]
            if here and below + here >= wanted:
                if index >= len(_FINE):
                    return BOUNDS[-1]
                low = _FINE[index - 1] if index else 0.0
                return low + (_FINE[index] - low) * (wanted - below) / here
            below += here
        return None

    def buckets(self) -> list[tuple[str, float]]:
        """Prometheus' cumulative buckets: (`le`, count), the last +Inf."""
        found, below, rest = [], 0, sorted(self._counts.items())
        position = 0
        for number, bound in enumerate(BOUNDS, start=1):
            while position < len(rest) and rest[position][0] < number * _SPLIT:
                below += rest[position][1]
                position += 1
            found.append((repr(bound), float(below)))
        return [*found, ("+Inf", float(self.count))]

    def pack(self) -> list[list[float]]:
        """Plain numbers, for a message: [[sum], [bucket, count], …]."""
        return [[self.sum], *([float(index), float(count)] for index, count in self._counts.items())]

    @classmethod
    def unpack(cls, packed: Sequence[Sequence[float]]) -> LatencyHistogram:
        (total,), *pairs = packed
        return cls({int(index): int(count) for index, count in pairs}, total)


def merged(histograms: Iterable[LatencyHistogram]) -> LatencyHistogram:
    made = LatencyHistogram()
    for histogram in histograms:
        made.merge(histogram)
    return made
