"""How long a model takes to be loaded: what was seen, and the plan's guess before that. No clock."""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import Literal

Kind = Literal["wake", "cold"]
KINDS: tuple[Kind, ...] = ("wake", "cold")
# The median of so many: one load that met a cold disk does not count for an hour.
KEPT = 5


class LoadTimes:
    """Seconds by kind of load: from the card's being free to a token's having come."""

    def __init__(self, wake_guess_s: float, cold_guess_s: float) -> None:
        self._guess: dict[Kind, float] = {"wake": wake_guess_s, "cold": cold_guess_s}
        self._seen: dict[Kind, deque[float]] = {kind: deque(maxlen=KEPT) for kind in KINDS}

    def record(self, kind: Kind, seconds: float) -> None:
        self._seen[kind].append(seconds)

    def seconds(self, kind: Kind) -> float:
        return median(self._seen[kind]) if self._seen[kind] else self._guess[kind]

    def learned(self, kind: Kind) -> bool:
        """Whether it has been seen."""
        return bool(self._seen[kind])
