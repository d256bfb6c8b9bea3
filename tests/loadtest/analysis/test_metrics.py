"""The formulas, with numbers small enough to check by head."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.analysis.metrics import itl_ms, percentile, quantiles, steady_rate, summarise, tpot_ms
from loadtest.client.record import RequestOutcome
from tests.loadtest.answers import MS, failed, good


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=60))
def test_percentiles_are_exact_and_linear_between_ranks(values: list[float]) -> None:
    cuts = statistics.quantiles(values, n=20, method="inclusive")
    assert percentile(sorted(values), 0.95) == pytest.approx(cuts[18])
    assert percentile(sorted(values), 0.5) == pytest.approx(statistics.median(values))


def test_percentiles_of_nothing_and_of_one() -> None:
    assert percentile([], 0.5) is None
    assert percentile([7.0], 0.95) == 7.0


def test_latencies_of_one_answer() -> None:
    """Sent at 100 ms, text at 150, then three tokens 10 ms apart."""
    stage = summarise([good(100, 150, [(10, 1)] * 3)], released=100 * MS)
    assert stage.ttft_ms is not None and stage.ttft_ms.p50 == 50
    assert stage.itl_ms is not None and (stage.itl_ms.p50, stage.itl_ms.count) == (10, 3)
    assert stage.tpot_ms is not None and stage.tpot_ms.mean == 10
    assert stage.e2e_ms is not None and stage.e2e_ms.p95 == 80
    assert stage.total_time_s == pytest.approx(0.08)
    assert stage.output_tokens_per_s == pytest.approx(4 / 0.08)


def test_a_bunch_shares_its_gap_and_the_stall_stays_visible() -> None:
    record = good(0, 20, [(40, 4), (5, 1)])
    assert itl_ms(record) == [10, 10, 10, 10, 5]
    stage = summarise([record], released=0)
    assert stage.worst_stall_ms == 40
    assert stage.coalescing == pytest.approx(6 / 3)


def test_tpot_counts_tokens_not_chunks() -> None:
    """Speculative decoding: 3 chunks after the first, 9 tokens in all by `usage`."""
    assert tpot_ms(good(0, 20, [(16, 1)] * 3, tokens=9)) == pytest.approx(48 / 8)


def test_tpot_of_one_token_is_undetermined() -> None:
    assert tpot_ms(good(0, 20, [])) is None
    assert summarise([good(0, 20, [])], released=0).tpot_ms is None


def test_total_time_is_from_the_common_start_to_the_last_end() -> None:
    records = [good(1, 20, [(10, 1)]), good(3, 20, [(500, 1)], user=1), failed(2, 900)]
    assert summarise(records, released=0).total_time_s == pytest.approx(0.9)


def test_failures_are_counted_by_class_and_kept_out_of_latencies() -> None:
    records = [
        good(0, 20, [(10, 1)]),
        failed(0, 5000),
        failed(0, 1, RequestOutcome.OVERLOADED),
        failed(0, 1, RequestOutcome.CUT),
    ]
    stage = summarise(records, released=0)
    assert stage.failures == {"429": 1, "cut": 2}
    assert stage.failed == 3
    assert stage.e2e_ms is not None and stage.e2e_ms.p95 == 30
    assert stage.output_tokens == 2


def test_without_a_good_answer_nothing_is_known_and_nothing_is_zero() -> None:
    stage = summarise([failed(0, 10)], released=0)
    assert (stage.ttft_ms, stage.itl_ms, stage.output_tokens_per_s, stage.coalescing) == (None, None, None, None)
    assert summarise([], released=0).total_time_s is None


def test_the_steady_rate_leaves_out_ramp_and_tail() -> None:
    """Two users, a token each 10 ms; the second begins 100 ms later and ends 100 ms later."""
    early = good(0, 10, [(10, 1)] * 40)
    late = good(0, 110, [(10, 1)] * 40, user=1)
    assert steady_rate([early, late]) == pytest.approx(200, rel=0.05)
    assert steady_rate([early, late, failed(0, 1)]) is None
    assert steady_rate([good(0, 10, [(10, 1)])]) is None


def test_an_interval_needs_values_enough_and_holds_its_percentile() -> None:
    values = [float(value) for value in range(1, 101)]
    found = quantiles(values)
    assert found is not None and found.p50_ci is not None
    assert found.p50_ci[0] < found.p50 < found.p50_ci[1] and found.p99 == pytest.approx(99.01)
    assert found.p99_ci is None, "a bound for p99 needs hundreds of values"
    few = quantiles(values, independent=10)
    assert few is not None and few.p50_ci is not None
    assert few.p50_ci[0] < found.p50_ci[0] and few.p50_ci[1] > found.p50_ci[1]


def test_times_from_the_plan_hold_the_clients_lateness_and_all_waiting() -> None:
    record = good(100, 150, [(50, 1)])
    record.plan = 40 * MS
    client = summarise([record], 0)
    assert client.ttft_ms is not None and client.ttft_from_plan_ms is not None and client.e2e_from_plan_ms is not None
    assert (client.ttft_ms.p50, client.ttft_from_plan_ms.p50, client.e2e_from_plan_ms.p50) == (50, 110, 160)


def test_refusals_are_counted_whether_or_not_a_later_try_was_good() -> None:
    mended, refused = good(0, 10, [(5, 1)]), failed(0, 1, RequestOutcome.OVERLOADED)
    mended.refusals, mended.waited = [429, 503], 2_000 * MS
    refused.status, refused.refusals = 429, [429]
    client = summarise([mended, refused, good(0, 10, [])], 0)
    assert client.refusals == {"429": 3, "503": 1}
    assert (client.retried, client.waited_s, client.good, client.failures) == (1, 2.0, 2, {"429": 1})


def test_answers_of_another_length_than_asked_for_are_counted() -> None:
    records = [good(0, 10, [(5, 1)]) for _ in range(4)]
    for record, wanted in zip(records, (2, 1, 3, 0), strict=True):
        record.max_tokens = wanted
    records[3].answer.usage = None
    client = summarise(records, 0)
    assert (client.too_long, client.too_short, client.no_usage, client.output_tokens_mean) == (1, 1, 1, 2)


def test_how_many_were_under_way_and_how_fast_they_came() -> None:
    records = [good(start, start + 50, [(50, 1)], user=start) for start in (0, 60, 120, 400)]
    client = summarise(records, 0)
    assert client.in_flight_peak == 2
    assert client.arrival_rate_per_s == pytest.approx(3 / 0.4)
    assert summarise(records[:1], 0).arrival_rate_per_s is None
