"""What is counted of models that take turns on a card; `turn_families` turns it into Prometheus text."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from itertools import product

from gateway.telemetry.metrics import Histogram

STATES = ("stopped", "loading", "ready", "asleep", "failed")
REASONS = ("idle", "patience", "priority")
KINDS = ("wake", "cold")
# Of a load that came to nothing, or an engine that did: what went wrong.
FAULTS = ("start", "wake", "sleep", "stop", "canary", "died")
WINDOW_S = 900.0
_TOGETHER_S = 5.0
_LOAD_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)


class TurnMetrics:
    """By model (what clients call it) and card. ``waiting``, ``first_wait``: as they are now; the latter in seconds."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}
        self.waiting: dict[str, int] = {}
        self.first_wait: dict[str, float] = {}
        self.switches: Counter[tuple[str, str]] = Counter()
        self.failures: Counter[tuple[str, str]] = Counter()
        self.loads: dict[tuple[str, str], Histogram] = {}
        self.lost: dict[str, float] = {}
        self._recent: dict[str, deque[tuple[float, float]]] = {}

    def know(self, card: str, models: Iterable[str]) -> None:
        """All at 0 from the start: a counter that appears with its first failure hides it from increase()."""
        self.lost.setdefault(card, 0.0)
        self._recent.setdefault(card, deque())
        for model in models:
            self.switches.update(dict.fromkeys(product([model], REASONS), 0))
            self.failures.update(dict.fromkeys(product([model], FAULTS), 0))
            for kind in KINDS:
                self.loads.setdefault((model, kind), Histogram(_LOAD_S))

    def forget(self, models: Iterable[str]) -> None:
        """They take turns no more: what they are now is nothing."""
        for model in models:
            for now in (self.states, self.waiting, self.first_wait):
                now.pop(model, None)

    def loaded(self, model: str, kind: str, seconds: float) -> None:
        self.loads[model, kind].observe(seconds)

    def lose(self, card: str, seconds: float, now: float) -> None:
        """A card brought nothing new for so long: it drained, or was being switched."""
        self.lost[card] += seconds
        recent = self._recent[card]
        if recent and now - recent[-1][0] < _TOGETHER_S:  # it is counted ten times a second
            recent[-1] = (recent[-1][0], recent[-1][1] + seconds)
        else:
            recent.append((now, seconds))

    def lost_share(self, card: str, now: float) -> float:
        """Of the last 15 minutes."""
        recent = self._recent.get(card) or deque()
        while recent and recent[0][0] < now - WINDOW_S:
            recent.popleft()
        return min(1.0, sum(seconds for _, seconds in recent) / WINDOW_S)
