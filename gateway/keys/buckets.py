"""Token buckets and counts by name: the state of rate limits, behind an interface that several gateways can share.

A request asks it many times and must not wait, so the calls are synchronous. `shared_buckets` is that of several
gateways: every number here is a sum, so what others have added is added too, beside the data path.
"""

from __future__ import annotations

from typing import Protocol

MINUTE_S = 60.0


class Buckets(Protocol):
    """Buckets that fill again, and counts of what runs, by name. Times are seconds of the caller's clock."""

    def take(self, bucket: str, amount: float, per_minute: float, now: float) -> float:
        """Take from a bucket that holds a minute's worth; returns 0, or in how many seconds there will be enough.

        Nothing is taken in that case. An amount over the whole bucket is let through when the bucket is full.
        """

    def correct(self, bucket: str, amount: float, per_minute: float, now: float) -> None:
        """Take more, or less than nothing, without asking: an estimate has turned out to be wrong."""

    def missing(self, bucket: str, now: float) -> float:
        """Seconds until a bucket is full."""

    def enter(self, name: str) -> int:
        """One more runs under this name; returns how many do."""

    def leave(self, name: str) -> int:
        """One less; returns how many do."""

    def running(self, name: str) -> int: ...

    def full(self, name: str, limit: int) -> bool:
        """Whether as many run under this name as may."""


class LocalBuckets:
    """One gateway alone.

    A bucket is one number: the time at which it will be full (the generic cell rate algorithm). What was taken moves it
    into the future, and it never has to be refilled.
    """

    def __init__(self) -> None:
        self._full_at: dict[str, float] = {}
        self._running: dict[str, int] = {}

    def take(self, bucket: str, amount: float, per_minute: float, now: float) -> float:
        full_at = max(self._full_at.get(bucket, now), now)
        seconds = amount * MINUTE_S / per_minute
        wait = full_at + min(seconds, MINUTE_S) - now - MINUTE_S
        if wait > 1e-9:
            return wait
        self._full_at[bucket] = full_at + seconds
        return 0.0

    def correct(self, bucket: str, amount: float, per_minute: float, now: float) -> None:
        full_at = max(self._full_at.get(bucket, now), now)
        self._full_at[bucket] = full_at + amount * MINUTE_S / per_minute

    def missing(self, bucket: str, now: float) -> float:
        return max(0.0, self._full_at.get(bucket, now) - now)

    def enter(self, name: str) -> int:
        running = self._running[name] = self._running.get(name, 0) + 1
        return running

    def leave(self, name: str) -> int:
        running = self._running[name] - 1
        if running:
            self._running[name] = running
        else:
            del self._running[name]
        return running

    def running(self, name: str) -> int:
        return self._running.get(name, 0)

    def full(self, name: str, limit: int) -> bool:
        return self._running.get(name, 0) >= limit
