"""Attained service per key, decaying over time, and Jain's fairness index over it. No clock.

Service is counted in output-token equivalents: see `cost`. Each key has a counter that halves every ``half_life_s``
and is divided by the key's weight. Among keys that wait, the one with the least counts as next (`controller`).
The idea is VTC's (Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024): charge when admitted,
correct when finished, and lift whoever comes back from idleness to the least of those who are active, so that
nobody saves up service and then shuts others out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable

WINDOW_S = 60.0
BUCKET_S = 5.0
# A key counts for Jain's index if it waited in this share of the window's samples: one that is served at once has
# less because it asks for less, which is not unfair.
BACKLOGGED = 0.8
# So long service is inflated by the same: an exponential for each request would tell apart what nobody sees.
_SAME_S = 0.01
# Half-lives; doubles hold 1,023.
_RENORMALISE_AFTER = 60.0


class Attained:
    """Counters of attained service by key. ``charged``: all that was ever charged here, where that is told to others.

    Instead of fading every counter as time goes by, what is added is inflated: the order is the same, and reading
    needs no arithmetic.
    """

    def __init__(self, half_life_s: float, now: float) -> None:
        self._half_life_s = half_life_s
        self._origin = now
        self._inflated: dict[str, float] = {}
        self._inflated_by, self._inflated_at = 1.0, now  # what was reckoned last, and when
        self.charged: dict[str, float] | None = None

    def charge(self, key: str, amount: float, weight: float, now: float) -> None:
        """Add service; negative to correct an estimate that was too high."""
        if self.charged is not None:
            self.charged[key] = self.charged.get(key, 0.0) + amount / weight
        if not 0.0 <= now - self._inflated_at < _SAME_S:
            self._inflated_by, self._inflated_at = self._inflation(now), now  # first: it may make all counters anew
        service = self._inflated.get(key, 0.0) + amount / weight * self._inflated_by
        self._inflated[key] = service if service > 0.0 else 0.0

    def elsewhere(self, key: str, amount: float, now: float) -> None:
        """Add service that another gateway has given, for each unit of weight."""
        charged, self.charged = self.charged, None  # who gave it has told of it
        self.charge(key, amount, 1.0, now)
        self.charged = charged

    def rank(self, key: str) -> float:
        """Comparable between keys at one moment, not between moments: the least is next."""
        return self._inflated.get(key, 0.0)

    def service(self, key: str, now: float) -> float:
        """What is left of all service by now, in token equivalents for each unit of weight."""
        return self.rank(key) / self._inflation(now)

    def lift(self, key: str, active: Collection[str]) -> None:
        """``key`` was idle and comes back while others are active: to the least of theirs, if it had less."""
        if active:
            self._inflated[key] = max(self.rank(key), min(self.rank(other) for other in active))

    def fade(self, half_life_s: float, now: float) -> None:
        """Fade at another pace from now on."""
        inflation = self._inflation(now)
        self._inflated = {key: value / inflation for key, value in self._inflated.items()}
        self._origin, self._half_life_s = now, half_life_s
        self._inflated_by, self._inflated_at = 1.0, now

    def _inflation(self, now: float) -> float:
        half_lives = (now - self._origin) / self._half_life_s
        if half_lives < _RENORMALISE_AFTER:
            return float(2.0**half_lives)
        # What has faded to nothing by now is forgotten on the way. A gateway may have been idle for days.
        faded = 0.5**half_lives
        self._inflated = {key: value * faded for key, value in self._inflated.items() if value * faded > 1e-6}
        self._origin = self._inflated_at = now
        self._inflated_by = 1.0
        return 1.0


def jain(shares: Iterable[float]) -> float:
    """Jain's fairness index: 1 when all have the same, 1/n when one has everything; 1 for fewer than two."""
    found = list(shares)
    squares = sum(share * share for share in found)
    if len(found) < 2 or squares == 0:
        return 1.0
    return sum(found) ** 2 / (len(found) * squares)


class ServiceWindow:
    """Service by key over the last minute, and which keys waited all through it."""

    def __init__(self) -> None:
        self._buckets: deque[_Bucket] = deque(maxlen=int(WINDOW_S / BUCKET_S))

    def served(self, key: str, amount: float, weight: float, now: float) -> None:
        served = self._bucket(now).served
        served[key] = served.get(key, 0.0) + amount / weight

    def sample(self, waiting: Iterable[str], now: float) -> None:
        """Called at regular intervals with the keys that have a request waiting."""
        bucket = self._bucket(now)
        bucket.samples += 1
        for key in waiting:
            bucket.waited[key] = bucket.waited.get(key, 0) + 1

    def jain(self, now: float) -> float:
        """Jain's index over the keys that were backlogged in the window; 1 for fewer than two of them."""
        recent = [bucket for bucket in self._buckets if bucket.began > now - WINDOW_S]
        samples = sum(bucket.samples for bucket in recent)
        waited: dict[str, int] = {}
        for bucket in recent:
            for key, count in bucket.waited.items():
                waited[key] = waited.get(key, 0) + count
        backlogged = [key for key, count in waited.items() if count >= BACKLOGGED * samples]
        return jain(sum(bucket.served.get(key, 0.0) for bucket in recent) for key in backlogged)

    def _bucket(self, now: float) -> _Bucket:
        if not self._buckets or now >= self._buckets[-1].began + BUCKET_S:
            self._buckets.append(_Bucket(now))
        return self._buckets[-1]


class _Bucket:
    __slots__ = ("began", "samples", "served", "waited")

    def __init__(self, began: float) -> None:
        self.began = began
        self.samples = 0
        self.served: dict[str, float] = {}
        self.waited: dict[str, int] = {}
