"""Compares what a load test reports with what the server knows: the same formulas on both, line by line. Pure.

A server that keeps the truth tells, by request id, when it had read the request and when it wrote each token, as
nanoseconds of the clock that all processes of a machine share (`perf_counter_ns`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from loadtest.analysis.metrics import NS_PER_MS, Quantiles, percentile, summarise
from loadtest.analysis.selfcheck_result import ClockComparison, LagQuantiles, SelfCheck
from loadtest.client.record import Record, RequestOutcome
from loadtest.client.sse import StreamedAnswer, TokenUsage

ALLOWED_MS, ALLOWED_SHARE = 2.0, 0.02
_JUDGED = {
    "ttft_ms": ("p50", "p95"),
    "itl_ms": ("p50", "p95"),
    "tpot_ms": ("p50", "p95", "mean"),
    "e2e_ms": ("p50", "p95"),
}


def row(metric: str, statistic: str, reported_ms: float, true_ms: float) -> ClockComparison:
    """One number, judged: it may be off by 2 ms or 2 % of the truth, whichever is more."""
    error, allowed = reported_ms - true_ms, max(ALLOWED_MS, ALLOWED_SHARE * true_ms)
    return ClockComparison(
        metric=metric,
        statistic=statistic,
        reported_ms=reported_ms,
        true_ms=true_ms,
        error_ms=error,
        allowed_ms=allowed,
        ok=abs(error) <= allowed,
    )


def true_record(record: Record, truth: Mapping[str, Any]) -> Record:
    """The same request as its server saw it: begun when it was read, each token at the moment of its write."""
    writes = truth["writes"]
    answer = StreamedAnswer(first=writes[0], last=writes[-1], first_events=1, events=len(writes), reads=len(writes))
    answer.gaps = [(later - earlier, 1) for earlier, later in zip(writes, writes[1:], strict=False)]
    answer.usage = TokenUsage(0, len(writes), None)
    read = truth["read"]
    return Record(
        record.stage, record.user, record.index, read, read, end=writes[-1], outcome=RequestOutcome.OK, answer=answer
    )


def rows(records: Sequence[Record], true: Sequence[Record]) -> list[ClockComparison]:
    """Every judged number of both, by the formulas of the report."""
    start = min(record.send for record in records)
    reported, known = summarise(records, start), summarise(true, start)
    found = []
    for metric, statistics in _JUDGED.items():
        ours, theirs = getattr(reported, metric), getattr(known, metric)
        if isinstance(ours, Quantiles) and isinstance(theirs, Quantiles):
            found += [row(metric, name, getattr(ours, name), getattr(theirs, name)) for name in statistics]
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


def spread(values: Sequence[float]) -> LagQuantiles:
    """Percentiles of sorted values."""
    return LagQuantiles(p50=percentile(values, 0.5), p95=percentile(values, 0.95), p99=percentile(values, 0.99))


def text(found: SelfCheck) -> str:
    """For a terminal."""
    lines = [
        f"{found.users} streams x {found.tokens_per_s:g} tokens/s{_from(found.processes)}, {found.requests} answers",
        "             reported      truth      error    allowed",
    ]
    for one in found.rows:
        name = f"{one.metric.removesuffix('_ms').upper()} {one.statistic}"
        numbers = f"{one.reported_ms:8.2f} ms{one.true_ms:8.2f} ms{one.error_ms:+8.2f} ms{one.allowed_ms:8.2f} ms"
        lines.append(f"{name:10}{numbers}{'' if one.ok else '  !'}")
    lines.append(f"a token is seen after its write: {_lag(found.token_lag_ms)} ms (p50/p95/p99)")
    lines.append(f"a request is read after its send: {_lag(found.send_lag_ms)} ms (p50/p95/p99)")
    cpu = "unknown" if found.cpu_share is None else f"{found.cpu_share:.0%}"
    each = "a client process used at most" if found.processes > 1 else "the client used"
    lines.append(f"{each} {cpu} of a core; its loop was {_ms(found.loop_lag_p99_ms)} ms late at p99")
    lines.append("the client can be believed here" if found.ok else "the client cannot be believed here")
    return "\n".join([*lines, *(f"  - {problem}" for problem in found.problems)])


def _from(processes: int) -> str:
    return f" from {processes} processes" if processes > 1 else ""


def _lag(lag: LagQuantiles) -> str:
    return " / ".join(_ms(value) for value in (lag.p50, lag.p95, lag.p99))


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
