"""The mergeable histogram: percentiles near the exact ones, buckets that Prometheus takes, merging without loss."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.analysis.histogram import BOUNDS, LatencyHistogram, merged
from loadtest.analysis.metrics import percentile

VALUES = st.lists(st.floats(0.0011, 100), min_size=1, max_size=200)


def of(values: list[float]) -> LatencyHistogram:
    made = LatencyHistogram()
    for value in values:
        made.add(value)
    return made


@given(VALUES, st.sampled_from((0.5, 0.95, 0.99)))
def test_a_percentile_lies_between_its_neighbours_within_a_bucket(values: list[float], q: float) -> None:
    found, ranked = of(values).quantile(q), sorted(values)
    place = q * len(values)
    low, high = ranked[max(0, int(place) - 1)], ranked[min(len(values) - 1, int(place))]
    assert found is not None and low * 0.972 <= found <= high * 1.028


def test_many_values_have_the_exact_percentiles_nearly() -> None:
    values = [0.02 + index / 100_000 for index in range(5000)]
    for q in (0.5, 0.95, 0.99):
        assert of(values).quantile(q) == pytest.approx(percentile(values, q), rel=0.01)


@given(VALUES, VALUES)
def test_parts_merge_to_the_whole_also_through_a_message(one: list[float], other: list[float]) -> None:
    whole = of(one + other)
    part = LatencyHistogram.unpack(json.loads(json.dumps(of(other).pack())))
    both = merged([of(one), part])
    assert both.buckets() == whole.buckets() and both.count == whole.count
    assert both.sum == pytest.approx(whole.sum)
    assert both.quantile(0.95) == whole.quantile(0.95)


@given(VALUES)
def test_buckets_count_what_is_at_or_below_their_bound(values: list[float]) -> None:
    for bound, count in of(values).buckets():
        assert count == sum(value <= float(bound) for value in values)


def test_bounds_are_round_so_that_an_slo_lies_on_one() -> None:
    assert {0.001, 0.01, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 100.0} <= set(BOUNDS)
    assert list(BOUNDS) == sorted(set(BOUNDS)) and len(BOUNDS) == 51
    made = of([0.2])
    assert dict(made.buckets())["0.2"] == 1 and dict(made.buckets())["0.16"] == 0


def test_nothing_and_too_much() -> None:
    assert LatencyHistogram().quantile(0.5) is None
    assert of([1000.0]).quantile(0.5) == 100.0
    assert of([1000.0]).buckets()[-2:] == [("100.0", 0.0), ("+Inf", 1.0)]
