"""Output tokens a second now, over all engines: from what each says of itself, so streams count while they run."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from gateway.engines.registry import EngineRegistry
from gateway.engines.replica import Replica

# "Now" is the last seconds; engines are asked once in one.
WINDOW_S = 5.0
SAMPLE_S = 0.5


class TokenRate:
    """Samples the engines' counters twice a second."""

    def __init__(self, registry: EngineRegistry, clock: Callable[[], float]) -> None:
        self._registry = registry
        self._clock = clock
        self._seen: dict[Replica, float] = {}
        self._sum = 0.0
        self._samples: deque[tuple[float, float]] = deque()

    def tick(self) -> None:
        """Ten times a second, on the loop."""
        now = self._clock()
        if self._samples and now - self._samples[-1][0] < SAMPLE_S:
            return
        seen: dict[Replica, float] = {}
        for replica in self._registry.replicas():
            if replica.report is not None:
                seen[replica] = count = replica.report.generation_tokens
                # One that begins anew counts from 0, and what it had written before it was seen is not of now.
                self._sum += max(0.0, count - self._seen.get(replica, count))
        self._seen = seen
        self._samples.append((now, self._sum))
        while len(self._samples) > 2 and now - self._samples[1][0] >= WINDOW_S:
            self._samples.popleft()

    @property
    def tokens_per_second(self) -> float:
        """0 until there are two samples."""
        if len(self._samples) < 2:
            return 0.0
        (began, before), (at, now) = self._samples[0], self._samples[-1]
        return (now - before) / (at - began) if at > began else 0.0
