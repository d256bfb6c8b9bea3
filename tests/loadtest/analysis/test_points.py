"""Points: repeats taken together, and what of them counts as good."""

from __future__ import annotations

import pytest

from loadtest.analysis.metrics import summarise
from loadtest.analysis.points import METRICS, Point, Slo, points
from tests.loadtest.answers import failed, good
from tests.loadtest.report.test_html_page import report
from tests.loadtest.reports import Side, make


def only(content: dict[str, object], slo: Slo | None = None) -> Point:
    (point,) = points(content, slo)
    return point


def test_a_single_stage_says_what_its_metrics_say() -> None:
    records = [good(0, 40, [(10.0, 1)] * 4 + [(30.0, 3)]), good(5, 65, [(12, 1)] * 5)]
    point, client = only(report(*records)), summarise(records, 0)
    for family, spread in (("ttft", client.ttft_ms), ("itl", client.itl_ms), ("tpot", client.tpot_ms)):
        for statistic in ("p50", "p95", "p99", "mean"):
            made = point.estimate(f"{family}_{statistic}_ms")
            assert made is not None and made.value == pytest.approx(getattr(spread, statistic))
    for metric in ("total_time_s", "output_tokens_per_s", "requests_per_s"):
        made = point.estimate(metric)
        assert made is not None and made.value == getattr(client, metric) and not made.sure


def test_every_metric_is_known_of_a_whole_run_and_none_of_a_failed_one() -> None:
    whole, nothing = points(make())[0], only(report(failed(0, 10)))
    assert all(whole.estimate(metric) is not None for metric in METRICS)
    known = {metric for metric in METRICS if nothing.estimate(metric) is not None}
    assert known == {"total_time_s", "failures", "goodput_per_s", "attainment"}


def test_repeats_are_pooled_and_their_spread_is_an_interval() -> None:
    once, thrice = points(make(users=(10,)))[0], points(make(users=(10,), repeats=3))[0]
    assert (once.answers, thrice.answers) == (30, 90)
    assert len(thrice.repeats("total_time_s")) == 3
    total = thrice.estimate("total_time_s")
    assert total is not None and total.low is not None and total.high is not None
    assert total.low < min(thrice.repeats("total_time_s")) and max(thrice.repeats("total_time_s")) < total.high
    spread = thrice.estimate("ttft_p95_ms")
    assert spread is not None and spread.sure and spread.count == 90


def test_sides_are_kept_apart_and_in_order() -> None:
    found = points(make([Side("b", ttft_ms=20), Side("a", ttft_ms=200)], users=(1, 5)))
    assert [(point.side, point.label) for point in found] == [
        ("b", "1 user"), ("b", "5 users"), ("a", "1 user"), ("a", "5 users"),
    ]  # fmt: skip
    assert all(15 < value < 25 for value in found[0].values["ttft"])
    assert all(150 < value < 250 for value in found[2].values["ttft"])


def test_goodput_counts_answers_within_the_slo_and_failures_as_bad() -> None:
    fast, slow_start, slow_flow = good(0, 40, [(10, 1)] * 5), good(0, 400, [(10, 1)] * 5), good(0, 40, [(90, 1)] * 5)
    content = report(fast, slow_start, slow_flow, failed(0, 10))
    point = only(content, Slo(ttft_ms=100, tpot_ms=50))
    assert (point.good_per_stage, point.judged) == ((1,), 4)
    share, rate = point.estimate("attainment"), point.estimate("goodput_per_s")
    assert share is not None and rate is not None
    assert share.value == 0.25
    assert rate.value == pytest.approx(1 / 0.49)
    assert only(content, Slo(ttft_ms=None, tpot_ms=None, e2e_ms=460)).good_per_stage == (2,)


def test_an_answer_of_one_token_says_nothing_of_the_flow() -> None:
    point = only(report(good(0, 40, [])), Slo(ttft_ms=100, tpot_ms=50))
    assert (point.good_per_stage, point.judged) == ((0,), 0)
    assert point.estimate("attainment") is None
    assert only(report(good(0, 400, [])), Slo(ttft_ms=100, tpot_ms=50)).judged == 1


def test_goodput_counts_from_the_intended_start() -> None:
    late = good(500, 540, [(10, 1)] * 5)
    late.plan = 0
    content = report(late)
    assert only(content, Slo(ttft_ms=100)).good_per_stage == (0,)
    lived, sent = only(content).estimate("ttft_from_plan_p50_ms"), only(content).estimate("ttft_p50_ms")
    assert lived is not None and sent is not None and (lived.value, sent.value) == (540, 40)


def test_an_slo_is_told_in_words() -> None:
    assert Slo(ttft_ms=500, tpot_ms=None, e2e_ms=9000).text == "TTFT ≤ 500 ms, whole answer ≤ 9000 ms"
