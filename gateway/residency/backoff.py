"""When a model whose load has failed is tried again: not at each request. No clock."""

from __future__ import annotations

PAUSES_S = (30.0, 60.0, 120.0)


class Backoff:
    """One model's. ``why``: what went wrong last; empty if nothing did."""

    def __init__(self) -> None:
        self.why = ""
        self.retry_at = 0.0
        self._failures = 0

    def failed(self, why: str, now: float) -> None:
        self.why = why
        self.retry_at = now + PAUSES_S[min(self._failures, len(PAUSES_S) - 1)]
        self._failures += 1

    def succeeded(self) -> None:
        self.why, self.retry_at, self._failures = "", 0.0, 0

    def forgive(self) -> None:
        """Somebody asks for another try now."""
        self.retry_at = 0.0

    def may_try(self, now: float) -> bool:
        return not self.why or now >= self.retry_at
