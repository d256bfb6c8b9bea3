"""What a vLLM says of itself at /metrics: the few numbers that routing and health need, found in the text as bytes.

The page has hundreds of lines. Only those needed are looked for; the rest is never split, decoded or parsed.
Names: `vllm/v1/metrics/loggers.py` of 0.32.0. With data parallelism each rank has lines of its own (label `engine`),
as has each model: counts are summed, the share of the KV cache is the mean over the ranks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_RUNNING = b"\nvllm:num_requests_running{"
_WAITING = b"\nvllm:num_requests_waiting{"
_KV_USAGE = b"\nvllm:kv_cache_usage_perc{"
_ITERATIONS = b"\nvllm:iteration_tokens_total_count{"
_GENERATION = b"\nvllm:generation_tokens_total{"
_PROMPT = b"\nvllm:prompt_tokens_by_source_total{"
_COMPUTED = b'source="local_compute"'
_PREEMPTIONS = b"\nvllm:num_preemptions_total{"
_CACHE = b"\nvllm:cache_config_info{"
_KV_TOKENS = b'kv_cache_size_tokens="'
_BLOCK_TOKENS = b'block_size="'


@dataclass(frozen=True, slots=True)
class Report:
    """One engine at one moment.

    ``running``, ``waiting``: requests in its batch and in its own queue. ``kv_usage``: 0 to 1. The rest are counters
    since its start; ``iterations`` counts steps that brought a token (a step that only reads a part of a long prompt
    moves ``kv_usage`` and nothing else). ``prompt_tokens``: those that it read itself, not those found in its prefix
    cache; a prompt counts when its first token comes. ``kv_tokens``: what its KV cache holds, 0 where it does not say,
    in blocks of ``block_tokens``.
    """

    running: float
    waiting: float
    kv_usage: float
    iterations: float
    generation_tokens: float
    prompt_tokens: float
    preemptions: float
    kv_tokens: float = 0.0
    block_tokens: float = 1.0

    @property
    def busy(self) -> bool:
        return self.running > 0 or self.waiting > 0


def read(text: bytes) -> Report | None:
    """Prometheus text -> what it says; None where it is not a vLLM's (or one with --disable-log-stats)."""
    running = list(_values(text, _RUNNING))
    if not running:
        return None
    usage = list(_values(text, _KV_USAGE))
    return Report(
        running=sum(running),
        waiting=sum(_values(text, _WAITING)),
        kv_usage=sum(usage) / len(usage) if usage else 0.0,
        iterations=sum(_values(text, _ITERATIONS)),
        generation_tokens=sum(_values(text, _GENERATION)),
        prompt_tokens=sum(_values(text, _PROMPT, _COMPUTED)),
        preemptions=sum(_values(text, _PREEMPTIONS)),
        kv_tokens=sum(_labels(text, _CACHE, _KV_TOKENS)),
        block_tokens=max(_labels(text, _CACHE, _BLOCK_TOKENS), default=1.0),
    )


def _values(text: bytes, start: bytes, label: bytes = b"") -> Iterator[float]:
    """The values of one family's lines (the format has them one after the other) that have this label."""
    at = text.find(start)
    while at >= 0:
        end = text.find(b"\n", at + 1)
        line = text[at + 1 : end if end >= 0 else len(text)]
        if label in line:
            try:
                yield float(line[line.rindex(b"} ") + 2 :])
            except ValueError:  # cut off in the middle, or no number
                return
        at = end if end >= 0 and text.startswith(start, end) else -1


def _labels(text: bytes, start: bytes, name: bytes) -> Iterator[float]:
    """The numbers in one label of one family's lines."""
    at = text.find(start)
    while at >= 0:
        end = text.find(b"\n", at + 1)
        line = text[at:end] if end >= 0 else text[at:]
        number = (line.partition(b"," + name)[2] or line.partition(b"{" + name)[2]).partition(b'"')[0]
        if number.isdigit():
            yield float(number)
        at = end if end >= 0 and text.startswith(start, end) else -1
