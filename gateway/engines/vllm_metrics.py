"""What routing and health need of a vLLM's /metrics, as plain numbers: what a page does not have counts as 0."""

from __future__ import annotations

from dataclasses import dataclass

from common import vllm_metrics


@dataclass(frozen=True, slots=True)
class Report:
    """One engine at one moment; what each number is stands in `common.vllm_metrics.EngineMetrics`.

    ``kv_usage``: 0 to 1, the mean over its ranks, since its tokens are those of all of them. ``kv_tokens``: 0 where it
    does not say.
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
    found = vllm_metrics.read(text)
    if found.running is None:
        return None
    return Report(
        running=found.running,
        waiting=found.waiting or 0.0,
        kv_usage=found.kv_usage or 0.0,
        iterations=found.iterations or 0.0,
        generation_tokens=found.generation_tokens or 0.0,
        prompt_tokens=found.prompt_tokens or 0.0,
        preemptions=found.preemptions or 0.0,
        kv_tokens=found.kv_tokens or 0.0,
        block_tokens=found.block_tokens or 1.0,
    )
