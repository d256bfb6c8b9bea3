"""Intervals: against textbook values, and against what they promise, on samples whose truth is known."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.analysis.intervals import Estimate, mean, order_ranks, quantile, ratio, student, wilson


@pytest.mark.parametrize(
    ("n", "q", "ranks"),
    [
        (10, 0.5, (2, 9)),  # Conover, Practical Nonparametric Statistics: 97.9 %
        (100, 0.5, (40, 61)),
        (71, 0.95, None),
        (72, 0.95, (64, 72)),
        (73, 0.95, (65, 73)),
        (367, 0.99, None),
        (368, 0.99, (360, 368)),
        (5, 0.5, None),
        (6, 0.5, (1, 6)),
    ],
)
def test_ranks_of_a_quantile(n: int, q: float, ranks: tuple[int, int] | None) -> None:
    assert order_ranks(n, q) == ranks


@pytest.mark.parametrize("q", [0.5, 0.95, 0.99])
def test_the_exact_and_the_approximate_ranks_meet(q: float) -> None:
    exact, near = order_ranks(2000, q), order_ranks(2001, q)
    assert exact is not None and near is not None
    assert all(abs(one - other) <= 2 for one, other in zip(exact, near, strict=True))


@pytest.mark.parametrize("q", [0.5, 0.95])
def test_nineteen_of_twenty_intervals_hold_the_truth(q: float) -> None:
    source = random.Random(5)
    held = 0
    for _ in range(400):
        made = quantile(sorted(source.random() for _ in range(200)), q)
        assert made is not None and made.low is not None and made.high is not None
        held += made.low <= q <= made.high
    assert 0.94 <= held / 400 <= 1


def test_too_few_values_have_a_percentile_and_no_interval() -> None:
    assert quantile([], 0.5) is None
    assert quantile([1.0, 3.0], 0.5) == Estimate(2.0, None, None, 2)


def test_dependent_values_make_a_wider_interval() -> None:
    values = [float(value) for value in range(1000)]
    alone, by_ten = quantile(values, 0.5), quantile(values, 0.5, independent=10)
    assert alone is not None and by_ten is not None
    assert (by_ten.low, by_ten.high) == (100, 899)
    assert alone.low is not None and alone.high is not None and 100 < alone.low < alone.high < 899
    assert alone.value == by_ten.value == 499.5


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300), st.sampled_from((0.5, 0.95, 0.99)))
def test_an_interval_encloses_its_percentile(values: list[float], q: float) -> None:
    made = quantile(sorted(values), q, independent=max(1, len(values) // 3))
    assert made is not None
    assert made.low is None or made.high is None or made.low <= made.value <= made.high


def test_repeats_have_students_interval() -> None:
    assert mean([]) is None
    assert mean([7.0]) == Estimate(7.0, None, None, 1)
    three = mean([9.0, 10.0, 11.0])
    assert three is not None and three.low == pytest.approx(10 - 4.303 / 3**0.5)
    assert student(1) == 12.706 and student(11) == student(10) == 2.228 and student(1000) == 2.0


def test_a_share_of_all_is_not_certain() -> None:
    assert wilson(0, 0) is None
    every = wilson(10, 10)
    assert every is not None and every.high == 1 and every.low == pytest.approx(0.722, abs=0.001)


def test_a_ratio_keeps_both_doubts() -> None:
    made = ratio(Estimate(10, 8, 12, 50), Estimate(5, 4, 6, 40))
    assert made == Estimate(2.0, 8 / 6, 3.0, 40)
    assert ratio(Estimate(10, None, None, 1), Estimate(5, 4, 6, 40)) == Estimate(2.0, None, None, 1)
    assert ratio(Estimate(10, 8, 12, 9), Estimate(0, 0, 0, 9)) is None
