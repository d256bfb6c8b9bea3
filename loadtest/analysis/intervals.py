"""How sure a number is: 95 % intervals of percentiles, means of repeats, shares, and ratios. Pure.

Percentiles: order statistics. The p-quantile of any distribution lies between the l-th and the u-th smallest of n
values with the probability that a binomial(n, p) count falls into [l, u); no shape of distribution is assumed and no
random number is drawn. Means of repeats: Student's t. Shares: Wilson. Ratios: both sides at 97.5 %, so that together
they hold at 95 % (Bonferroni); wider than a bootstrap, and never too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist, fmean, stdev

CONFIDENCE = 0.95
_EXACT_UP_TO = 2000  # values; above, the normal approximation of the binomial is off by less than one rank
_DEGREES = (*range(1, 11), 12, 15, 20, 30, 60)
# Student's t, two-sided, for the degrees of freedom above: 95 % and 97.5 %.
_T = {
    0.95: (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.179, 2.131, 2.086, 2.042, 2.000),
    0.975: (25.452, 6.205, 4.177, 3.495, 3.163, 2.969, 2.841, 2.752, 2.685, 2.634, 2.560, 2.490, 2.423, 2.360, 2.299),
}


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval. `low` and `high` are None when there are too few values to say. `count`: values."""

    value: float
    low: float | None
    high: float | None
    count: int

    @property
    def sure(self) -> bool:
        return self.low is not None and self.high is not None


def at(ranked: Sequence[float], q: float) -> float:
    """The q-quantile (0 to 1) of sorted values, linear between ranks. At least one value is needed."""
    position = q * (len(ranked) - 1)
    low = int(position)
    return ranked[low] + (ranked[min(low + 1, len(ranked) - 1)] - ranked[low]) * (position - low)


def quantile(
    ranked: Sequence[float], q: float, *, independent: int | None = None, confidence: float = CONFIDENCE
) -> Estimate | None:
    """The q-quantile of sorted values; None when there are none.

    `independent`: how many values count as independent, where that is fewer than all. The tokens of one answer come
    from the same steps of the same batch, so for gaps between tokens it is the number of answers.
    """
    if not ranked:
        return None
    n = len(ranked) if independent is None else min(independent, len(ranked))
    ranks = order_ranks(n, q, confidence)
    if ranks is None:
        return Estimate(at(ranked, q), None, None, len(ranked))
    last = len(ranked) - 1
    stretch = len(ranked) / n
    low = ranked[min(last, math.floor((ranks[0] - 1) * stretch))]
    high = ranked[min(last, math.ceil(ranks[1] * stretch) - 1)]
    return Estimate(at(ranked, q), low, high, len(ranked))


@lru_cache(maxsize=1024)
def order_ranks(n: int, q: float, confidence: float = CONFIDENCE) -> tuple[int, int] | None:
    """Ranks (from 1) of n values that enclose the q-quantile; None when n is too small for both bounds.

    Each tail is at most (1 - confidence) / 2: the upper 95 % bound of a p99 needs 368 values, of a p95 72.
    """
    tail = (1 - confidence) / 2
    if n > _EXACT_UP_TO:
        reach = NormalDist().inv_cdf(1 - tail) * math.sqrt(n * q * (1 - q))
        low, high = math.floor(n * q - reach), math.ceil(n * q + reach) + 1
    else:
        low, high = _exact_ranks(n, q, tail)
    return (low, high) if 1 <= low and high <= n else None


def _exact_ranks(n: int, q: float, tail: float) -> tuple[int, int]:
    """The largest l with P(B < l) <= tail and the smallest u with P(B >= u) <= tail, for B ~ binomial(n, q)."""
    below, low, high = 0.0, 0, n + 1
    for count in range(n + 1):
        log = math.lgamma(n + 1) - math.lgamma(count + 1) - math.lgamma(n - count + 1)
        below += math.exp(log + count * math.log(q) + (n - count) * math.log1p(-q))
        if below <= tail:
            low = count + 1
        if 1 - below <= tail:
            high = count + 1
            break
    return low, high


def mean(values: Sequence[float], confidence: float = CONFIDENCE) -> Estimate | None:
    """The mean of repeats, with Student's t; without an interval for one repeat, None for none."""
    if not values:
        return None
    middle = fmean(values)
    if len(values) == 1:
        return Estimate(middle, None, None, 1)
    reach = student(len(values) - 1, confidence) * stdev(values) / math.sqrt(len(values))
    return Estimate(middle, middle - reach, middle + reach, len(values))


def student(degrees: int, confidence: float = CONFIDENCE) -> float:
    """Student's t, two-sided; between the table's rows the next lower degree of freedom, which is wider."""
    row = max(index for index, known in enumerate(_DEGREES) if known <= degrees)
    return _T[confidence][row]


def wilson(good: int, judged: int) -> Estimate | None:
    """The share `good / judged` with Wilson's interval, which is right for 0 and for all too."""
    if judged == 0:
        return None
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    share, shrink = good / judged, 1 + z * z / judged
    middle = (share + z * z / (2 * judged)) / shrink
    reach = z / shrink * math.sqrt(share * (1 - share) / judged + z * z / (4 * judged * judged))
    return Estimate(share, max(0.0, middle - reach), min(1.0, middle + reach), judged)


def ratio(upper: Estimate, lower: Estimate) -> Estimate | None:
    """`upper / lower`, of estimates made at 97.5 %; None when the lower is not above 0."""
    if not lower.value > 0:
        return None
    count = min(upper.count, lower.count)
    value = upper.value / lower.value
    if upper.low is None or upper.high is None or lower.low is None or lower.high is None or not lower.low > 0:
        return Estimate(value, None, None, count)
    return Estimate(value, max(0.0, upper.low) / lower.high, upper.high / lower.low, count)
