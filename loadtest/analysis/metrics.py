"""The formulas: from records to the numbers of one stage. Pure.

Percentiles are exact, linear between ranks, over good answers only; failures are counted, never averaged in.
A number that cannot be known is None and is shown as a dash.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from loadtest.analysis import intervals
from loadtest.analysis.usage import UsageTotals, usage_totals
from loadtest.client.record import REFUSALS, Record
from loadtest.client.token_counts import between, first_tokens, tokens_of

NS_PER_MS = 1e6
NS_PER_S = 1e9


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Milliseconds. `count` is the number of values behind the percentiles.

    The intervals are of 95 % confidence, from order statistics; None where there are too few values for one. Answers of
    one stage share its batch and are not quite independent, so repeats say more.
    """

    p50: float
    p95: float
    mean: float
    count: int
    p99: float
    p50_ci: tuple[float, float] | None = None
    p95_ci: tuple[float, float] | None = None
    p99_ci: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class ClientMetrics:
    """What the client saw in one stage. Seconds for the stage as a whole, milliseconds for what one user feels.

    `…_from_plan_ms` count from the intended start. `refusals`: all 429 and 503 met, also those that a later try made
    good. `no_usage`, `too_long`, `too_short`: good answers without token counts, or of another length than asked for.
    `usage`: of all requests that told it, as the server counted.
    `counting`: good answers by how the tokens of their events are known (`loadtest.client.token_counts.Counting`).
    """

    requests: int
    failures: dict[str, int]
    total_time_s: float | None
    prompt_tokens: int
    output_tokens: int
    output_tokens_per_s: float | None
    steady_tokens_per_s: float | None
    requests_per_s: float | None
    ttft_ms: Quantiles | None
    itl_ms: Quantiles | None
    tpot_ms: Quantiles | None
    e2e_ms: Quantiles | None
    worst_stall_ms: float | None
    coalescing: float | None
    tokens_per_event: float | None
    counting: dict[str, int]
    cached_tokens: int | None
    usage: UsageTotals
    ttft_from_plan_ms: Quantiles | None
    e2e_from_plan_ms: Quantiles | None
    good: int
    refusals: dict[str, int]
    retried: int
    waited_s: float
    no_usage: int
    too_long: int
    too_short: int
    output_tokens_mean: float | None
    in_flight_peak: int
    arrival_rate_per_s: float | None

    @property
    def failed(self) -> int:
        return sum(self.failures.values())


def percentile(values: Sequence[float], q: float) -> float | None:
    """The q-quantile (0 to 1) of sorted values, linear between ranks; None when there are none."""
    if not values:
        return None
    position = q * (len(values) - 1)
    low = int(position)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (position - low)


def quantiles(values: Sequence[float], independent: int | None = None) -> Quantiles | None:
    """`independent`: how many of the values count as independent, where that is fewer than all, as of tokens."""
    if not values:
        return None
    ranked = sorted(values)
    found = [intervals.quantile(ranked, q, independent=independent) for q in (0.5, 0.95, 0.99)]
    p50, p95, p99 = (estimate for estimate in found if estimate is not None)
    return Quantiles(
        p50.value, p95.value, sum(ranked) / len(ranked), len(ranked), p99.value, _ci(p50), _ci(p95), _ci(p99)
    )  # fmt: skip


def _ci(estimate: intervals.Estimate) -> tuple[float, float] | None:
    return None if estimate.low is None or estimate.high is None else (estimate.low, estimate.high)


def ttft_ms(record: Record) -> float | None:
    """First text minus send. The connection stands already; the role chunk and the headers do not count."""
    return None if record.answer.first is None else (record.answer.first - record.send) / NS_PER_MS


def e2e_ms(record: Record) -> float | None:
    """Last text minus send."""
    return None if record.answer.last is None else (record.answer.last - record.send) / NS_PER_MS


def tpot_ms(record: Record) -> float | None:
    """(last - first) / (tokens - tokens of the first read). Undetermined, not 0, when nothing followed the first."""
    answer = record.answer
    following = record.tokens - first_tokens(answer)
    if answer.first is None or answer.last is None or following < 1 or answer.last == answer.first:
        return None
    return (answer.last - answer.first) / following / NS_PER_MS


def from_plan_ms(record: Record, moment: int | None) -> float | None:
    """A moment of the answer minus the intended start: with the client's lateness and all waiting for a retry."""
    return None if moment is None else (moment - record.plan) / NS_PER_MS


def itl_ms(record: Record) -> list[float]:
    """One value per token after the first read: the gap before its read, shared among the read's tokens."""
    values = between(tokens_of(record.answer).gaps)
    return [value / NS_PER_MS for value, count in values for _ in range(count)]


def summarise(records: Sequence[Record], released: int) -> ClientMetrics:
    """The numbers of one stage. `released`: when its users were let go (perf_counter_ns)."""
    good = [record for record in records if record.ok]
    seconds = makespan_s(records, released)
    output = sum(record.tokens for record in good)
    stalls = [gap for record in good for gap, _ in record.answer.gaps]
    return ClientMetrics(
        requests=len(records),
        failures=dict(sorted(Counter(str(record.outcome) for record in records if not record.ok).items())),
        total_time_s=seconds,
        prompt_tokens=sum(record.answer.usage.prompt for record in good if record.answer.usage),
        output_tokens=output,
        output_tokens_per_s=output / seconds if seconds and good else None,
        steady_tokens_per_s=steady_rate(records),
        requests_per_s=len(good) / seconds if seconds and good else None,
        ttft_ms=quantiles(_known(ttft_ms(record) for record in good)),
        itl_ms=quantiles([value for record in good for value in itl_ms(record)], independent=len(good)),
        tpot_ms=quantiles(_known(tpot_ms(record) for record in good)),
        e2e_ms=quantiles(_known(e2e_ms(record) for record in good)),
        worst_stall_ms=max(stalls) / NS_PER_MS if stalls else None,
        coalescing=coalescing(good),
        tokens_per_event=tokens_per_event(good),
        counting=dict(sorted(Counter(str(tokens_of(record.answer).counting) for record in good).items())),
        cached_tokens=_cached(good),
        usage=usage_totals(records),
        ttft_from_plan_ms=quantiles(_known(from_plan_ms(record, record.answer.first) for record in good)),
        e2e_from_plan_ms=quantiles(_known(from_plan_ms(record, record.answer.last) for record in good)),
        good=len(good),
        refusals=refusals(records),
        retried=sum(1 for record in records if record.refusals and record.outcome not in REFUSALS),
        waited_s=sum(record.waited for record in records) / NS_PER_S,
        no_usage=sum(1 for record in good if record.answer.usage is None),
        too_long=sum(1 for record in good if 0 < record.max_tokens < record.tokens),
        too_short=sum(1 for record in good if record.tokens < record.max_tokens),
        output_tokens_mean=output / len(good) if good else None,
        in_flight_peak=in_flight_peak(records),
        arrival_rate_per_s=arrival_rate(records),
    )


def refusals(records: Sequence[Record]) -> dict[str, int]:
    """429 and 503 answers by status, whether or not a later try was good."""
    met = Counter(status for record in records for status in record.refusals)
    met.update(record.status for record in records if record.outcome in REFUSALS and record.status)
    return {str(status): count for status, count in sorted(met.items())}


def in_flight_peak(records: Sequence[Record]) -> int:
    """The most requests that were under way at the same moment."""
    steps = sorted([(r.send, 1) for r in records] + [(r.end, -1) for r in records])
    under_way = peak = 0
    for _, step in steps:
        under_way += step
        peak = max(peak, under_way)
    return peak


def arrival_rate(records: Sequence[Record]) -> float | None:
    """Requests per second by their intended starts; None when they share one moment."""
    plans = sorted(record.plan for record in records)
    span = plans[-1] - plans[0] if plans else 0
    return (len(plans) - 1) / (span / NS_PER_S) if span else None


def makespan_s(records: Sequence[Record], released: int) -> float | None:
    """From the common start to the last text of the last request (to its end, where a request failed)."""
    ends = [record.answer.last if record.ok and record.answer.last else record.end for record in records]
    return (max(ends) - released) / NS_PER_S if ends else None


def coalescing(records: Sequence[Record]) -> float | None:
    """Text events per read that carried text: 1 means each token could be timed on its own."""
    reads = sum(record.answer.reads for record in records)
    return sum(record.answer.events for record in records) / reads if reads else None


def tokens_per_event(records: Sequence[Record]) -> float | None:
    """Output tokens per text event; above 1 where events hold several tokens."""
    known = [record for record in records if record.answer.usage is not None]
    events = sum(record.answer.events for record in known)
    return sum(record.tokens for record in known) / events if events else None


def steady_rate(records: Sequence[Record]) -> float | None:
    """Tokens per second while every user was being answered: from the last first-token to the first user's end.

    None when that window is empty or holds fewer than 20 tokens: too little to be a rate.
    """
    firsts: dict[int, int] = {}
    ends: dict[int, int] = {}
    for record in records:
        if not record.ok or record.answer.first is None or record.answer.last is None:
            return None
        firsts[record.user] = min(firsts.get(record.user, record.answer.first), record.answer.first)
        ends[record.user] = max(ends.get(record.user, 0), record.answer.last)
    if not firsts:
        return None
    start, end = max(firsts.values()), min(ends.values())
    tokens = sum(_tokens_between(record, start, end) for record in records)
    return tokens / ((end - start) / NS_PER_S) if end > start and tokens >= 20 else None


def _tokens_between(record: Record, start: int, end: int) -> float:
    found = tokens_of(record.answer)
    at = record.answer.first or 0
    tokens = found.first if start < at <= end else 0.0
    for gap, count in found.gaps:
        at += gap
        tokens += count if start < at <= end else 0.0
    return tokens


def _cached(records: Sequence[Record]) -> int | None:
    counts = [r.answer.usage.cached for r in records if r.answer.usage and r.answer.usage.cached is not None]
    return sum(counts) if counts else None


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]
