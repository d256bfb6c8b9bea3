"""Rate limits of several gateways: each spends leases out of what all have left, and pays for what the others spent.

Between two exchanges (`LEASE_S`) one of N gateways may take a N-th of what a bucket has left as it knows it, and at
least one request. So what two take before they hear of each other is bounded: by one lease of each of the others. It
is a debt, which comes off what follows: over longer than a minute the limit holds.

While nobody can be heard, each has a N-th of every limit: together never more than the limit.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.keys.buckets import MINUTE_S, LocalBuckets

LEASE_S = 0.2
_LEAST = 1e-9


class SharedBuckets(LocalBuckets):
    """``gateways``: how many there are; ``up``: whether they hear of each other.

    ``taken``: all that was ever taken here, by bucket, in seconds of refill.
    """

    def __init__(self, gateways: int) -> None:
        super().__init__()
        self.gateways = gateways
        self.up = False
        self.taken: dict[str, float] = {}
        self._leases: dict[str, float] = {}
        self._elsewhere: Mapping[str, int] = {}
        self._entered: dict[str, int] = {}

    def take(self, bucket: str, amount: float, per_minute: float, now: float) -> float:
        seconds = amount * MINUTE_S / per_minute
        charged = seconds if self.up else seconds * self.gateways
        full_at = max(self._full_at.get(bucket, now), now)
        wait = full_at + min(charged, MINUTE_S) - now - MINUTE_S
        if wait > _LEAST:
            return wait
        if self.up and self.gateways > 1:
            lease = self._leases.get(bucket)
            if lease is None:
                lease = max((MINUTE_S - (full_at - now)) / self.gateways, seconds)
            if seconds > lease + _LEAST:
                return LEASE_S
            self._leases[bucket] = lease - seconds
        self._full_at[bucket] = full_at + charged
        self.taken[bucket] = self.taken.get(bucket, 0.0) + seconds
        return 0.0

    def correct(self, bucket: str, amount: float, per_minute: float, now: float) -> None:
        seconds = amount * MINUTE_S / per_minute
        full_at = max(self._full_at.get(bucket, now), now)
        self._full_at[bucket] = full_at + (seconds if self.up else seconds * self.gateways)
        self.taken[bucket] = self.taken.get(bucket, 0.0) + seconds

    def enter(self, name: str) -> int:
        self._entered[name] = self._entered.get(name, 0) + 1
        return super().enter(name)

    def full(self, name: str, limit: int) -> bool:
        here = self._running.get(name, 0)
        if not self.up:
            return here >= max(1, limit // self.gateways)
        left = limit - here - self._elsewhere.get(name, 0)
        if left <= 0 or self.gateways == 1:
            return left <= 0
        entered = self._entered.get(name, 0)
        lease = max(1, -(-(left + entered) // self.gateways))
        return entered >= lease

    def all_running(self) -> dict[str, int]:
        """Requests that run here, by name."""
        return dict(self._running)

    def heard(
        self,
        gateways: int,
        taken: Mapping[str, float],
        missing: Mapping[str, float],
        running: Mapping[str, int],
        now: float,
    ) -> None:
        """An exchange has brought what the others took since the last one, and what runs there. Leases begin anew.

        ``missing``: seconds until full of buckets, as a gateway sees them that was not known before.
        """
        self.up, self.gateways = True, gateways
        for bucket, seconds in taken.items():
            self._full_at[bucket] = max(self._full_at.get(bucket, now), now) + seconds
        for bucket, seconds in missing.items():
            self._full_at[bucket] = max(self._full_at.get(bucket, now), now + seconds)
        self._elsewhere = running
        self._leases.clear()
        self._entered.clear()

    def alone(self) -> None:
        """Nobody is heard of any more: go on with a part of each limit."""
        self.up = False
        self._elsewhere = {}
        self._leases.clear()
        self._entered.clear()
