"""Reads the few vLLM series that a load test needs out of a Prometheus text exposition. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields

_SUMMED = {
    "vllm:num_requests_running": "running",
    "vllm:num_requests_waiting": "waiting",
    "vllm:generation_tokens_total": "generation_tokens",
    "vllm:num_preemptions_total": "preemptions",
    "vllm:prefix_cache_queries_total": "prefix_queries",
    "vllm:prefix_cache_hits_total": "prefix_hits",
}
_HIGHEST = {"vllm:kv_cache_usage_perc": "kv_usage"}


@dataclass(frozen=True, slots=True)
class EngineSample:
    """One engine at one moment. None: the exposition does not have it. `kv_usage` is a share, 0 to 1."""

    running: float | None = None
    waiting: float | None = None
    kv_usage: float | None = None
    generation_tokens: float | None = None
    preemptions: float | None = None
    prefix_queries: float | None = None
    prefix_hits: float | None = None


FIELDS = tuple(field.name for field in fields(EngineSample))


def parse(text: str) -> EngineSample:
    """Counts are summed over label sets (data-parallel ranks); of the KV shares the highest counts."""
    found: dict[str, float] = {}
    for name, value in _series(text):
        if name in _SUMMED:
            found[_SUMMED[name]] = found.get(_SUMMED[name], 0.0) + value
        elif name in _HIGHEST:
            found[_HIGHEST[name]] = max(found.get(_HIGHEST[name], 0.0), value)
    return EngineSample(**found)


def _series(text: str) -> Iterator[tuple[str, float]]:
    """(name, value) of each vLLM sample line; a label's value may hold spaces and braces, a number may not."""
    for line in text.split("\n"):
        if not line.startswith("vllm:"):
            continue
        name, brace, rest = line.partition("{")
        if brace:
            numbers = rest.rpartition("}")[2].split()
        else:
            name, *numbers = line.split()
        if numbers and name in _SUMMED | _HIGHEST:
            value = _number(numbers[0])
            if value is not None:
                yield name, value


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
