"""The circuit breaker of a replica: closed it gets requests, half-open one token is tried, open it gets none. Pure.

An address begins open: it gets its first request when a token has come back. It opens again when its process is gone,
when it is frozen, when a trial fails, or when `FAILURES` requests in a row failed there. After that it waits before
the next trial, longer each time, with jitter, so that several gateways do not come at once; never longer than
`LONGEST_S`, so that an engine that is well again is back within five seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

FAILURES = 3
SHORTEST_S = 0.5
LONGEST_S = 3.0
JITTER = 0.1
# An address that has been well for so long begins anew with the shortest wait.
FORGIVEN_S = 30.0


class BreakerState(IntEnum):
    """The values of `gateway_engine_breaker_state`."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class CircuitBreaker:
    """One address's. ``reason``: why it is not closed. ``tried``: there has been a trial."""

    __slots__ = ("_closed_at", "_failures", "_opened", "_random", "_retry_at", "reason", "state", "tried")

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self.state = BreakerState.OPEN
        self.reason = "not asked yet"
        self.tried = False
        self._retry_at = 0.0
        self._failures = 0
        self._opened = 0
        self._closed_at = 0.0

    @property
    def closed(self) -> bool:
        return self.state is BreakerState.CLOSED

    def succeeded(self) -> None:
        """A request was answered."""
        self._failures = 0

    def failed(self, reason: str) -> bool:
        """A request failed; True if it was one too many in a row."""
        self._failures += 1
        self.reason = f"{self._failures} requests in a row failed, the last: {reason}"
        return self._failures >= FAILURES

    def open(self, now: float, reason: str, wait: bool = True) -> None:
        """No more requests. ``wait``: whether the next trial has to wait, or may come as soon as something is heard."""
        if now - self._closed_at >= FORGIVEN_S and self.closed:
            self._opened = 0
        self.state = BreakerState.OPEN
        self.reason = reason
        self._failures = 0
        if not wait:
            self._retry_at = now
            return
        pause = min(LONGEST_S, SHORTEST_S * 2**self._opened)
        self._opened = min(self._opened + 1, 16)
        self._retry_at = now + pause * (1 + JITTER * (2 * self._random() - 1))

    def may_try(self, now: float) -> bool:
        """Whether a trial is due."""
        return self.state is BreakerState.OPEN and now >= self._retry_at

    def trying(self) -> None:
        """A trial begins."""
        self.tried = True
        if self.state is BreakerState.OPEN:
            self.state = BreakerState.HALF_OPEN

    def close(self, now: float) -> None:
        """The trial went well."""
        self.state = BreakerState.CLOSED
        self.reason = ""
        self._failures = 0
        self._closed_at = now
