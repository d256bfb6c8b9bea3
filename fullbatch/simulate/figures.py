"""The figures of a simulated load, in the load test's terms (docs/terms.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from fullbatch.simulate.run import Simulated


@dataclass(frozen=True)
class LoadFigures:
    """Milliseconds, tokens a second, seconds, shares of 1."""

    requests: int
    total_time_s: float
    output_tokens_per_s: float
    ttft_p50_ms: float
    ttft_p95_ms: float
    itl_p50_ms: float
    itl_p95_ms: float
    batch_peak: int
    kv_peak: float
    preempted: float

    def as_json(self) -> dict[str, float]:
        return {name: round(value, 4) for name, value in asdict(self).items()}


def of(simulated: Simulated) -> LoadFigures:
    """Of a load with at least one request."""
    answers = simulated.answers
    ttft = sorted(answer.ttft for answer in answers)
    gaps = sorted(gap for answer in answers for gap in answer.gaps)
    tokens = sum(len(answer.tokens_at) for answer in answers)
    ends = max(answer.tokens_at[-1] for answer in answers)
    return LoadFigures(
        requests=len(answers),
        total_time_s=ends,
        output_tokens_per_s=tokens / ends,
        ttft_p50_ms=1000 * percentile(ttft, 0.5),
        ttft_p95_ms=1000 * percentile(ttft, 0.95),
        itl_p50_ms=1000 * percentile(gaps, 0.5),
        itl_p95_ms=1000 * percentile(gaps, 0.95),
        batch_peak=simulated.batch_peak,
        kv_peak=simulated.kv_peak,
        preempted=simulated.preemptions / len(answers),
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """Between the two nearest of sorted values; 0 of none."""
    if not ordered:
        return 0.0
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
