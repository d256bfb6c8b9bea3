"""Buckets and counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.keys.buckets import LocalBuckets


def test_a_full_bucket_gives_a_minutes_worth_at_once_and_then_at_its_rate() -> None:
    state = LocalBuckets()
    assert [state.take("b", 1, 60, 100.0) for _ in range(60)] == [0.0] * 60
    assert state.take("b", 1, 60, 100.0) == pytest.approx(1.0)
    assert state.take("b", 1, 60, 100.4) == pytest.approx(0.6)
    assert state.take("b", 1, 60, 101.0) == 0.0
    assert state.take("b", 1, 60, 101.0) > 0


def test_what_is_refused_is_not_taken() -> None:
    state = LocalBuckets()
    assert state.take("b", 60, 60, 0.0) == 0.0
    for _ in range(10):
        assert state.take("b", 30, 60, 0.0) == pytest.approx(30.0)
    assert state.take("b", 30, 60, 30.0) == 0.0


def test_more_than_the_whole_bucket_passes_when_it_is_full_and_leaves_a_debt() -> None:
    state = LocalBuckets()
    assert state.take("b", 150, 60, 0.0) == 0.0
    assert state.missing("b", 0.0) == pytest.approx(150.0)
    assert state.take("b", 150, 60, 0.0) == pytest.approx(150.0)
    assert state.take("b", 1, 60, 0.0) == pytest.approx(91.0)


def test_a_correction_gives_back_but_never_more_than_full() -> None:
    state = LocalBuckets()
    state.take("b", 30, 60, 0.0)
    state.correct("b", -10, 60, 0.0)
    assert state.missing("b", 0.0) == pytest.approx(20.0)
    state.correct("b", -1000, 60, 0.0)
    assert state.missing("b", 0.0) == 0.0
    assert state.take("b", 60, 60, 0.0) == 0.0
    assert state.take("b", 1, 60, 0.0) > 0


@given(
    per_minute=st.integers(1, 10_000),
    asks=st.lists(st.tuples(st.floats(0, 30), st.integers(1, 200)), min_size=1, max_size=60),
)
def test_the_wait_that_is_told_is_exact_and_the_rate_is_kept(per_minute: int, asks: list[tuple[float, int]]) -> None:
    state = LocalBuckets()
    now, taken = 0.0, 0
    for pause, amount in asks:
        now += pause
        wait = state.take("b", amount, per_minute, now)
        if wait:
            assert state.take("b", amount, per_minute, now + wait * 0.99) > 0
            now += wait
            assert state.take("b", amount, per_minute, now) == 0.0
        taken += amount
    # A bucket's worth, what came since, and one request that was larger than the bucket.
    assert taken <= per_minute + now * per_minute / 60 + 200 + 1e-6 * taken


def test_counts_end_where_they_began() -> None:
    state = LocalBuckets()
    assert [state.enter("a"), state.enter("a"), state.enter("b")] == [1, 2, 1]
    assert [state.leave("a"), state.leave("a"), state.leave("b")] == [1, 0, 0]
    assert state.running("a") == state.running("b") == 0
