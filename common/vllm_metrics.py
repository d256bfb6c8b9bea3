"""What a vLLM says of itself at /metrics: the few numbers that programs act on, found in the text as bytes.

The page has hundreds of lines. Only those needed are looked for; the rest is never split, decoded or parsed.
Names: `vllm/v1/metrics/loggers.py` of 0.32.0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

_SUMMED = {
    "running": b"vllm:num_requests_running",
    "waiting": b"vllm:num_requests_waiting",
    "iterations": b"vllm:iteration_tokens_total_count",
    "generation_tokens": b"vllm:generation_tokens_total",
    "preemptions": b"vllm:num_preemptions_total",
    "prefix_queries": b"vllm:prefix_cache_queries_total",
    "prefix_hits": b"vllm:prefix_cache_hits_total",
}
_PROMPT = b"vllm:prompt_tokens_by_source_total"
_COMPUTED = b'source="local_compute"'
_KV_USAGE = b"vllm:kv_cache_usage_perc"
_CACHE = b"vllm:cache_config_info"
_KV_TOKENS = b'kv_cache_size_tokens="'
_BLOCK_TOKENS = b'block_size="'


@dataclass(frozen=True, slots=True)
class EngineMetrics:
    """One engine at one moment; None: the page does not have it, which is not zero.

    With data parallelism each rank has lines of its own (label `engine`), as has each model: all are summed, but for
    the shares of the KV cache in use, 0 to 1, of which there are the mean and the highest.
    """

    running: float | None = None  # requests in its batch
    waiting: float | None = None  # requests in its own queue
    kv_usage: float | None = None
    kv_usage_highest: float | None = None
    # Counters since its start. A step that brought a token; one that only reads a part of a long prompt is none.
    iterations: float | None = None
    generation_tokens: float | None = None
    # Read by itself, not found in its prefix cache; a prompt counts when its first token comes.
    prompt_tokens: float | None = None
    preemptions: float | None = None
    prefix_queries: float | None = None  # tokens looked for in the prefix cache, and found there
    prefix_hits: float | None = None
    kv_tokens: float | None = None  # what its KV cache holds, in blocks of `block_tokens`
    block_tokens: float | None = None


def read(text: bytes) -> EngineMetrics:
    """Prometheus text -> what it says. A page of something else says nothing; one that was cut off, what is left."""
    text = b"\n" + text
    usage = list(_values(text, _KV_USAGE))
    return EngineMetrics(
        **{field: _sum(_values(text, name)) for field, name in _SUMMED.items()},
        prompt_tokens=_sum(_values(text, _PROMPT, _COMPUTED)),
        kv_usage=sum(usage) / len(usage) if usage else None,
        kv_usage_highest=max(usage, default=None),
        kv_tokens=_sum(_numbers(text, _CACHE, _KV_TOKENS)),
        block_tokens=max(_numbers(text, _CACHE, _BLOCK_TOKENS), default=None),
    )


def _sum(values: Iterator[float]) -> float | None:
    found = list(values)
    return sum(found) if found else None


def _lines(text: bytes, name: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(labels, value and perhaps a time) of one family's lines, which the format has one after the other."""
    start = b"\n" + name
    ends = (start + b"{", start + b" ")
    at = text.find(start)
    while at >= 0 and not text.startswith(ends, at):  # a longer name
        at = text.find(start, at + 1)
    while at >= 0:
        end = text.find(b"\n", at + 1)
        line = text[at + len(start) : end if end >= 0 else len(text)]
        labels, _, rest = line.rpartition(b"}")
        yield labels, rest
        at = end if end >= 0 and text.startswith(ends, end) else -1


def _values(text: bytes, name: bytes, label: bytes = b"") -> Iterator[float]:
    """Those of one family's lines that have this label and are numbers."""
    for labels, rest in _lines(text, name):
        try:
            value = float(rest.split(maxsplit=1)[0])
        except (ValueError, IndexError):  # cut off in the middle, or no number
            return
        if label in labels and math.isfinite(value):
            yield value


def _numbers(text: bytes, name: bytes, label: bytes) -> Iterator[float]:
    """The numbers in one label of one family's lines."""
    for labels, _ in _lines(text, name):
        number = (labels.partition(b"," + label)[2] or labels.partition(b"{" + label)[2]).partition(b'"')[0]
        if number.isdigit():
            yield float(number)
