"""What differences between boots say: Student's t, and the noise of one boot. Pure.

A boot is one value of one arm in one round. Value = arm + round + noise: what a round shares (heat, neighbours) cancels
between its boots, and what is left over is the noise of a boot.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean

# Of alternating means; unbalanced rounds settle within a few dozen.
_SWEEPS, _SETTLED = 200, 1e-9
_HALVINGS = 80


@dataclass(frozen=True)
class Noise:
    """`sd`: standard deviation of one boot's value (log); `degrees` of freedom that it is known with."""

    sd: float
    degrees: int


@dataclass(frozen=True)
class Interval:
    """A mean difference of logs, and its ends; `pairs` of boots behind it."""

    mean: float
    low: float
    high: float
    pairs: int


def noise(rounds: Sequence[Mapping[str, float]]) -> Noise:
    """What is left of the values when each arm's and each round's mean is taken away; 0 degrees: nothing is known."""
    used = [one for one in rounds if len(one) > 1]
    names = sorted({name for one in used for name in one})
    repeated = [name for name in names if sum(name in one for one in used) > 1]
    used = [{name: value for name, value in one.items() if name in repeated} for one in used]
    used = [one for one in used if len(one) > 1]
    names = sorted({name for one in used for name in one})
    degrees = sum(map(len, used)) - len(names) - len(used) + 1
    if not used or degrees < 1:
        return Noise(0.0, 0)
    arms, shared = dict.fromkeys(names, 0.0), [0.0] * len(used)
    for _ in range(_SWEEPS):
        before = arms
        shared = [fmean(one[name] - arms[name] for name in one) for one in used]
        arms = {
            name: fmean(one[name] - shared[number] for number, one in enumerate(used) if name in one) for name in names
        }
        if all(abs(arms[name] - before[name]) < _SETTLED for name in names):
            break
    left = sum(
        (value - arms[name] - shared[number]) ** 2 for number, one in enumerate(used) for name, value in one.items()
    )
    return Noise(math.sqrt(left / degrees), degrees)


def joined(first: Noise, second: Noise) -> Noise:
    """Of two sets of boots with the same noise."""
    degrees = first.degrees + second.degrees
    if not degrees:
        return first
    return Noise(math.sqrt((first.sd**2 * first.degrees + second.sd**2 * second.degrees) / degrees), degrees)


def interval(differences: Sequence[float], of_boot: Noise, alpha: float) -> Interval:
    """Two-sided, wrong with probability `alpha`; without end where the noise is not known."""
    mean = fmean(differences)
    if not of_boot.degrees:
        return Interval(mean, -math.inf, math.inf, len(differences))
    reach = student(of_boot.degrees, 1 - alpha) * of_boot.sd * math.sqrt(2 / len(differences))
    return Interval(mean, mean - reach, mean + reach, len(differences))


@lru_cache(maxsize=4096)
def student(degrees: int, confidence: float) -> float:
    """Student's t, two-sided."""
    low, high = 0.0, 1e6
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        inside = 1 - _beta(degrees / (degrees + middle * middle), degrees / 2, 0.5)
        low, high = (middle, high) if inside < confidence else (low, middle)
    return high


def _beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function, by its continued fraction."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta(1 - x, b, a)
    log = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log) / a / _fraction(x, a, b)


def _fraction(x: float, a: float, b: float) -> float:
    """1 + d1/(1 + d2/(1 + …)), from the far end; 200 terms are more than any x up to the mean needs."""
    value = 1.0
    for number in range(200, 0, -1):
        half = number // 2
        if number % 2:
            term = -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
        else:
            term = half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))
        value = 1 + term / value
    return value
