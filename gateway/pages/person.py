"""What a person sees with a key: that key's limits and what is left, its usage, and its last requests. No other's."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from gateway.admission.controller import Admission
from gateway.core.call import Principal
from gateway.keys.ledger import SEPARATOR, day_of
from gateway.keys.rate_limits import KeyLimits
from gateway.keys.store import Store
from gateway.telemetry.recent import Recent, Seen

VERSION = 1
DAYS = 30
_DAY_S = 86_400


class Person:
    """Gathers it, but for the usage, which is in the store (`usage`)."""

    def __init__(self, limits: KeyLimits, admission: Admission, recent: Recent) -> None:
        self._limits = limits
        self._admission = admission
        self._recent = recent

    def about(self, who: Principal) -> dict[str, object]:
        waiting = sum(keys.get(who.name, 0) for keys in self._admission.waiting().values())
        return {
            "version": VERSION,
            "name": who.name,
            "models": None if who.models is None else sorted(who.models),
            "priority": who.priority,
            "weight": who.weight,
            "expires": when(who.expires),
            "max_output_tokens": who.max_output_tokens,
            "max_body_bytes": who.max_body_bytes,
            "structured": who.structured,
            "limits": self._limits.left(who),
            "running": self._admission.running_by_key.get(who.name, 0),
            "waiting": waiting,
            "recent": [_request(seen) for seen in self._recent.of(who.name)],
        }


def usage(store: Store, name: str) -> list[dict[str, object]]:
    """Sums of the last 30 days by day and model, the newest day first. In the store's thread."""
    since = day_of(time.time() - (DAYS - 1) * _DAY_S)
    rows: list[dict[str, object]] = []
    for line in store.report(("day", "model"), since, "9999-12-31", key=name):
        day, _, model = line.name.partition(SEPARATOR)
        rows.append(
            {
                "day": day,
                "model": model,
                "requests": line.requests,
                "prompt_tokens": line.prompt_tokens,
                "cached_tokens": line.cached_tokens,
                "completion_tokens": line.completion_tokens,
            }
        )
    rows.reverse()
    return rows


def when(unix_time: float | None) -> str | None:
    """As scripts read it; the year is that of a clock, never of a person's typing."""
    if unix_time is None:
        return None
    return datetime.fromtimestamp(unix_time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _request(seen: Seen) -> dict[str, object]:
    at, request_id, endpoint, model, status, outcome, seconds, waited, ttft, prompt, output = seen
    return {
        "at": when(at),
        "id": request_id,
        "endpoint": endpoint,
        "model": model,
        "status": status,
        "outcome": outcome,
        "seconds": round(seconds, 3),
        "waited_s": None if waited is None else round(waited, 3),
        "first_token_s": None if ttft is None else round(ttft, 3),
        "prompt_tokens": prompt,
        "completion_tokens": output,
    }
