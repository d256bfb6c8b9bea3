"""Reported numbers beside true ones."""

from __future__ import annotations

import pytest

from loadtest.client.record import Record
from loadtest.selfcheck.compare_clocks import row, rows, spread, text, token_lags, true_record
from tests.loadtest.answers import MS, good, self_check

# Read 1 ms after it was sent; tokens written at 101, 121 and 141 ms.
KNOWN = {"read": 1 * MS, "writes": [101 * MS, 121 * MS, 141 * MS]}


def pair(late_ms: float, together: bool = False) -> tuple[Record, Record]:
    """A record that saw each token so late (the last two in one read, if so), and the truth about it."""
    gaps: list[tuple[float, int]] = [(40.0, 2)] if together else [(20.0, 1), (20.0, 1)]
    seen = good(0, 101 + late_ms, gaps)
    return seen, true_record(seen, KNOWN)


def test_the_truth_has_the_servers_own_times() -> None:
    [ttft, *_] = rows(*([one] for one in pair(0)))
    assert (ttft.metric, ttft.statistic, ttft.reported_ms, ttft.true_ms) == ("ttft_ms", "p50", 101, 100)
    assert ttft.ok and ttft.error_ms == pytest.approx(1)


def test_every_published_family_is_judged() -> None:
    found = {(row.metric, row.statistic) for row in rows(*([one] for one in pair(0)))}
    for family in ("ttft_ms", "itl_ms", "tpot_ms", "e2e_ms"):
        assert {(family, "p50"), (family, "p95")} <= found


@pytest.mark.parametrize(
    ("reported", "true", "ok"),
    [(101.9, 100, True), (102.1, 100, False), (97.9, 100, False), (1019, 1000, True), (1021, 1000, False)],
)
def test_two_ms_or_two_percent_are_allowed_either_way(reported: float, true: float, ok: bool) -> None:
    assert row("ttft_ms", "p50", reported, true).ok is ok


def test_the_lag_of_each_token_counts_also_where_a_read_brought_several() -> None:
    seen, known = pair(3)
    assert token_lags([seen], [known]) == pytest.approx([3, 3, 3])
    seen, known = pair(3, together=True)
    assert token_lags([seen], [known]) == pytest.approx([3, 3, 23])


def test_percentiles_of_nothing_are_unknown() -> None:
    assert spread([]).model_dump() == {"p50": None, "p95": None, "p99": None}
    assert spread([1.0, 2.0, 3.0]).p50 == 2


def test_what_fails_is_marked_in_words() -> None:
    lines = text(self_check(problems=("TTFT p50 is +10.0 ms off",))).splitlines()
    assert lines[2].split() == ["TTFT", "p50", "101.00", "ms", "100.00", "ms", "+1.00", "ms", "2.00", "ms", "!"]
    assert "0.50 / 1.00 / – ms (p50/p95/p99)" in lines[3]
    assert lines[-2:] == ["the client cannot be believed here", "  - TTFT p50 is +10.0 ms off"]
    assert text(self_check()).endswith("the client can be believed here")
