"""Sums of usage."""

from __future__ import annotations

from loadtest.analysis.usage import UsageTotals, usage_totals
from loadtest.client.sse import TokenUsage
from tests.loadtest.answers import failed, good


def test_all_requests_that_told_it_count_good_or_not() -> None:
    told, cut, silent = good(0, 10, [(5, 1)]), failed(0, 10), failed(0, 10)
    told.answer.usage, cut.answer.usage = TokenUsage(100, 8, 64), TokenUsage(10, 2, None)
    assert usage_totals([told, cut, silent]) == UsageTotals(2, 110, 64, 10)


def test_what_no_answer_said_is_not_zero() -> None:
    assert usage_totals([good(0, 10, [(5, 1)])]).cached_tokens is None
    assert usage_totals([failed(0, 10)]) == UsageTotals(0, 0, None, 0)
