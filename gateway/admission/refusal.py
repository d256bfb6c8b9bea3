"""What a request is told that gets no place."""

from __future__ import annotations

import math

from gateway.core.errors import Overloaded

MAX_RETRY_AFTER_S = 60


def overloaded(ahead: int, rate: float, why: str, reason: str) -> Overloaded:
    """It may come back when the ``ahead`` requests before it will have left, ``rate`` a second; 0: nobody knows."""
    seconds = min(MAX_RETRY_AFTER_S, max(1, math.ceil(ahead / rate))) if rate else 1
    return Overloaded(f"overloaded: {why}; try again in {seconds} s", retry_after=seconds, reason=reason)
