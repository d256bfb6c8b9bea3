"""What a load test reports beside what the server knows: the same formulas on both, line by line. Pure.

A server that keeps the truth tells, by request id, when it had read the request and when it wrote each token, as
nanoseconds of the clock that all processes of a machine share (`perf_counter_ns`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loadtest.metrics import NS_PER_MS, Quantiles, percentile, summarise
from loadtest.record import Outcome, Record
from loadtest.stream import Answer, Usage

ALLOWED_MS, ALLOWED_SHARE = 2.0, 0.02
_JUDGED = {
    "ttft_ms": ("p50", "p95"),
    "itl_ms": ("p50", "p95"),
    "tpot_ms": ("p50", "p95", "mean"),
    "e2e_ms": ("p50", "p95"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One reported number. It may be off by 2 ms or 2 % of the truth, whichever is more."""

    metric: str
    statistic: str
    reported_ms: float
    true_ms: float

    @property
    def error_ms(self) -> float:
        return self.reported_ms - self.true_ms

    @property
    def allowed_ms(self) -> float:
        return max(ALLOWED_MS, ALLOWED_SHARE * self.true_ms)

    @property
    def ok(self) -> bool:
        return abs(self.error_ms) <= self.allowed_ms

    def as_dict(self) -> dict[str, Any]:
        names = "metric statistic reported_ms true_ms error_ms allowed_ms ok".split()
        return {name: getattr(self, name) for name in names}


def true_record(record: Record, truth: Mapping[str, Any]) -> Record:
    """The same request as its server saw it: begun when it was read, each token at the moment of its write."""
    writes = truth["writes"]
    answer = Answer(first=writes[0], last=writes[-1], first_events=1, events=len(writes), reads=len(writes))
    answer.gaps = [(later - earlier, 1) for earlier, later in zip(writes, writes[1:], strict=False)]
    answer.usage = Usage(0, len(writes), None)
    read = truth["read"]
    return Record(
        record.stage, record.user, record.index, read, read, end=writes[-1], outcome=Outcome.OK, answer=answer
    )


def rows(records: Sequence[Record], true: Sequence[Record]) -> list[Row]:
    """Every judged number of both, by the formulas of the report."""
    start = min(record.send for record in records)
    reported, known = summarise(records, start), summarise(true, start)
    found = []
    for metric, statistics in _JUDGED.items():
        ours, theirs = getattr(reported, metric), getattr(known, metric)
        if isinstance(ours, Quantiles) and isinstance(theirs, Quantiles):
            found += [Row(metric, name, getattr(ours, name), getattr(theirs, name)) for name in statistics]
    return found


def token_lags(records: Sequence[Record], true: Sequence[Record]) -> list[float]:
    """Milliseconds from the server's write of each token to the clock reading after the client's read, sorted."""
    lags = []
    for record, known in zip(records, true, strict=True):
        written = _moments(known)
        lags += [(seen - wrote) / NS_PER_MS for seen, wrote in zip(_moments(record), written, strict=False)]
    return sorted(lags)


def _moments(record: Record) -> list[int]:
    """When each text event came: several of one read came together."""
    at = record.answer.first or 0
    moments = [at] * record.answer.first_events
    for gap, events in record.answer.gaps:
        at += gap
        moments += [at] * events
    return moments


def spread(values: Sequence[float]) -> dict[str, float | None]:
    """Percentiles of sorted values, for a report."""
    return {f"p{round(q * 100)}": percentile(values, q) for q in (0.5, 0.95, 0.99)}
