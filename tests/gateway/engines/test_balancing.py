"""The choice of an engine."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from gateway.engines import balancing

WORK = st.floats(0, 1e6)


@given(work=st.lists(WORK, min_size=1, max_size=balancing.COMPARE_ALL), turn=st.integers(0, 1000))
def test_p11_among_few_the_one_with_the_least_work_is_chosen(work: list[float], turn: int) -> None:
    assert work[balancing.choose(work, turn, random.random)] == min(work)


def test_p11_equals_take_turns() -> None:
    assert {balancing.choose([1, 0, 0, 0], turn, random.random) for turn in range(3)} == {1, 2, 3}


@given(work=st.lists(WORK, min_size=9, max_size=60), seed=st.integers(0, 1000))
def test_p11_among_many_the_better_of_two_is_chosen(work: list[float], seed: int) -> None:
    chosen = balancing.choose(work, 0, random.Random(seed).random)
    assert work[chosen] <= sorted(work)[-2]


def test_p11_two_choices_keep_many_engines_even() -> None:
    work, draw = [0.0] * 40, random.Random(7)
    for turn in range(40 * 50):
        work[balancing.choose(work, turn, draw.random)] += 1
    assert max(work) - min(work) <= 6


@given(least=WORK, known=st.floats(0, 1), slots=st.integers(1, 256), cost=st.floats(1, 1e5))
def test_p85_affinity_costs_nothing_while_the_work_is_even(least: float, known: float, slots: int, cost: float) -> None:
    assert balancing.keeps(least, least, known, slots, cost)


@given(
    work=WORK,
    least=WORK,
    known=st.floats(0, 1),
    more=st.floats(0, 1),
    slots=st.integers(1, 256),
    cost=st.floats(1, 1e5),
)
def test_p85_the_more_is_known_the_longer_it_holds(
    work: float, least: float, known: float, more: float, slots: int, cost: float
) -> None:
    if balancing.keeps(work, least, min(known, more), slots, cost):
        assert balancing.keeps(work, least, max(known, more), slots, cost)


def test_p85_it_ends_where_the_formula_says() -> None:
    # 8 places, a request of 1,000 tokens all known: a quarter of the places is 2,000.
    assert balancing.keeps(2000, 0, 1.0, 8, 1000)
    assert not balancing.keeps(2001, 0, 1.0, 8, 1000)
    assert balancing.keeps(3500, 1000, 1.0, 8, 1000)
    assert not balancing.keeps(501, 0, 0.25, 8, 1000)
