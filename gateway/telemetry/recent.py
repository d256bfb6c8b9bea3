"""The last requests of each key, in memory alone: how each went, never what was asked or answered."""

from __future__ import annotations

import time
from collections import deque

from gateway.core.call import Usage
from gateway.core.record import RequestRecord

KEPT = 50
# Of so many keys; then the one that was used least lately is forgotten. About 8 MB if all have `KEPT`.
MAX_KEYS = 256

# Unix time of its end, id, endpoint, model, status, outcome, seconds; in the queue and to the first token, or None;
# prompt and output tokens.
Seen = tuple[float, str, str, str, int, str, float, float | None, float | None, int, int]

_NONE = Usage()


class Recent:
    """Rings by key. Only ever used from the event loop's thread."""

    def __init__(self) -> None:
        self._by_key: dict[str, deque[Seen]] = {}

    def add(self, record: RequestRecord, status: int, seconds: float) -> None:
        """One has ended."""
        name = record.principal.name
        if not name:
            return
        usage = record.usage or _NONE
        seen = (time.time(), record.id, record.endpoint, record.model, status, record.outcome, seconds, record.waited,
                record.ttft, usage.prompt_tokens, usage.completion_tokens)  # fmt: skip
        (self._by_key.get(name) or self._begin(name)).append(seen)

    def of(self, name: str) -> list[Seen]:
        """The last ones of a key, the newest first."""
        return list(reversed(self._by_key.get(name, ())))

    def _begin(self, name: str) -> deque[Seen]:
        if len(self._by_key) >= MAX_KEYS:
            oldest = min(self._by_key, key=self._last)
            del self._by_key[oldest]
        ring: deque[Seen] = deque(maxlen=KEPT)
        self._by_key[name] = ring
        return ring

    def _last(self, name: str) -> float:
        return self._by_key[name][-1][0]
