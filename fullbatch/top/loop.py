"""The loop of `top`: frames for a terminal, or one JSON object a line for other programs."""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from fullbatch.top.figures import Figures, figures
from fullbatch.top.reading import Reading, read
from fullbatch.top.sources import MetricsSource

# Rates and quantiles are over this long: enough to hold some first tokens, short enough to follow.
WINDOW_SECONDS = 15.0
HISTORY = 240


@dataclass(frozen=True)
class Frame:
    """What is known at one moment; `history` is output tokens per second, oldest first."""

    figures: Figures
    history: tuple[float, ...]


def frames(source: MetricsSource, interval: float, sleep: Callable[[float], None] = time.sleep) -> Iterator[Frame]:
    """A frame every `interval` seconds, for ever; the first after one interval, since rates need two readings."""
    readings = deque([_read(source)])
    history: deque[float] = deque(maxlen=HISTORY)
    while True:
        sleep(interval)
        readings.append(_read(source))
        while readings[-1].at - readings[0].at > WINDOW_SECONDS and len(readings) > 2:
            readings.popleft()
        step = figures(readings[-2], readings[-1])
        history.append(step.output_tokens_per_s or 0.0)
        yield Frame(figures(readings[0], readings[-1]), tuple(history))


def _read(source: MetricsSource) -> Reading:
    return read(time.monotonic(), source.read_gateway(), source.read_engines())


def as_json(source: MetricsSource, now: Figures) -> dict[str, Any]:
    """For other programs: the figures as they are, in their own units."""
    where = {"profile": source.profile, "runtime": source.runtime, "gateway_url": source.gateway_url}
    return where | dataclasses.asdict(now)
