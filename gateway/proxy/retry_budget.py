"""The retry budget: a share of all requests, so that retries cannot double the load. No clock."""

from __future__ import annotations

from collections import deque

WINDOW_S = 10.0
_BUCKET_S = 1.0


class RetryBudget:
    """Over the last ten seconds: ``floor_per_s`` retries a second, and ``share`` of the requests besides."""

    def __init__(self, share: float, floor_per_s: float) -> None:
        self._share = share
        self._floor = floor_per_s * WINDOW_S
        self._buckets: deque[list[float]] = deque()  # when it began, requests, retries
        self._requests = 0.0
        self._retries = 0.0

    def request(self, now: float) -> None:
        """A request is sent for the first time."""
        self._bucket(now)[1] += 1
        self._requests += 1

    def take(self, now: float) -> bool:
        """Whether one may be sent again; counts it if so."""
        bucket = self._bucket(now)
        if self._retries + 1 > self._floor + self._share * self._requests:
            return False
        bucket[2] += 1
        self._retries += 1
        return True

    def _bucket(self, now: float) -> list[float]:
        buckets = self._buckets
        if buckets and now < buckets[-1][0] + _BUCKET_S:
            return buckets[-1]
        while buckets and buckets[0][0] <= now - WINDOW_S:
            _, requests, retries = buckets.popleft()
            self._requests -= requests
            self._retries -= retries
        buckets.append([now, 0.0, 0.0])
        return buckets[-1]
