"""One reading of a deployment's metrics, and sums over it. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Reading:
    """Every sample by name, at a moment of a clock in seconds. `gateway` and `engine`: whether they answered."""

    at: float
    gateway: bool = False
    engine: bool = False
    samples: Mapping[str, list[tuple[dict[str, str], float]]] = field(default_factory=dict)

    def total(self, name: str, **labels: str) -> float | None:
        """Sum over everything called `name` with these labels; None when there is none."""
        found = [value for given, value in self.samples.get(name, []) if labels.items() <= given.items()]
        return sum(found) if found else None

    def highest(self, name: str) -> float | None:
        return max((value for _, value in self.samples.get(name, [])), default=None)

    def by(self, name: str, label: str) -> dict[str, float]:
        """Sums by the value of one label; what lacks it is left out."""
        sums: dict[str, float] = defaultdict(float)
        for given, value in self.samples.get(name, []):
            if label in given:
                sums[given[label]] += value
        return dict(sums)


def read(at: float, gateway: str, engine: str) -> Reading:
    """From the two texts; one that cannot be understood counts as no answer."""
    samples: dict[str, list[tuple[dict[str, str], float]]] = defaultdict(list)
    answers = _add(samples, gateway), _add(samples, engine)
    return Reading(at, answers[0], answers[1], dict(samples))


def _add(samples: dict[str, list[tuple[dict[str, str], float]]], text: str) -> bool:
    # Loads in 30 ms, which only this command has to spend.
    from prometheus_client.parser import text_string_to_metric_families

    try:
        families = list(text_string_to_metric_families(text))
    except (ValueError, IndexError, KeyError):
        return False
    for family in families:
        for sample in family.samples:
            if math.isfinite(sample.value):
                samples[sample.name].append((dict(sample.labels), sample.value))
    return bool(families)


def increase(old: Reading, new: Reading, name: str, **labels: str) -> float | None:
    """How much a counter grew; after a restart, what it has counted since. None: not there."""
    after = new.total(name, **labels)
    if after is None:
        return None
    before = old.total(name, **labels) or 0.0
    return after - before if after >= before else after


def rate(old: Reading, new: Reading, name: str, **labels: str) -> float | None:
    """Per second."""
    grown = increase(old, new, name, **labels)
    return None if grown is None or new.at <= old.at else grown / (new.at - old.at)


def mean(old: Reading, new: Reading, histogram: str) -> float | None:
    """Of what was observed between the two; None when nothing was."""
    count = increase(old, new, f"{histogram}_count")
    total = increase(old, new, f"{histogram}_sum")
    return total / count if count and total is not None else None


def quantile(q: float, old: Reading, new: Reading, histogram: str) -> float | None:
    """Interpolated within a bucket, as Prometheus does; in the last its lower edge. None: nothing was observed."""
    name = f"{histogram}_bucket"
    edges = sorted(new.by(name, "le"), key=float)
    counts = [increase(old, new, name, le=edge) or 0.0 for edge in edges]
    if not counts or counts[-1] <= 0:
        return None
    rank = q * counts[-1]
    place = next(number for number, count in enumerate(counts) if count >= rank)
    low, below = (float(edges[place - 1]), counts[place - 1]) if place else (0.0, 0.0)
    if math.isinf(float(edges[place])):
        return low
    inside = counts[place] - below
    return low + (float(edges[place]) - low) * ((rank - below) / inside if inside else 1.0)
