from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullbatch.planning.card_share import KEPT_GIB, Need, Room, TooMuch, deal, kept

ROOM = Room(24.0, 22.0)


def _need(kv: float = 1.0, *, more: bool = True, turns: bool = False, sleeps: bool = False, weights: float = 4) -> Need:
    return Need("m", weights, 1.0, kv, more, turns, sleeps)


def test_what_is_left_goes_by_what_each_needs() -> None:
    dealt = deal([_need(1), _need(3), _need(2, more=False)], ROOM)
    assert dealt.kv_gib == pytest.approx((1.25, 3.75, 2.0))
    assert dealt.kept_gib == dealt.turn_gib == 0


def test_too_much_says_how_much() -> None:
    with pytest.raises(TooMuch) as raised:
        deal([_need(8), _need(8)], ROOM)
    assert raised.value.missing == pytest.approx(4.0)


def test_of_those_that_take_turns_the_largest_counts_once() -> None:
    turning = [_need(2, turns=True, sleeps=True, weights=14), _need(2, turns=True, sleeps=True, weights=10)]
    dealt = deal(turning, ROOM)
    assert dealt.kept_gib == KEPT_GIB
    assert dealt.turn_gib == pytest.approx(22 - KEPT_GIB)
    assert dealt.kv_gib == pytest.approx((dealt.turn_gib - 15, dealt.turn_gib - 11)), "the smaller has more cache"


@pytest.mark.parametrize(("sleeps", "times"), [((True, True), 1), ((True, False), 1), ((False, False), 0)])
def test_sleepers_keep_something_while_another_is_awake(sleeps: tuple[bool, bool], times: int) -> None:
    assert kept([_need(turns=True, sleeps=one) for one in sleeps], 2) == pytest.approx(times * 2 * KEPT_GIB)


def test_the_start_check_asks_for_a_little_more_and_never_more_than_may_be_used() -> None:
    assert ROOM.utilization(11.5) == 0.5
    assert ROOM.utilization(21.9) == pytest.approx(22 / 24)


@given(
    st.lists(st.tuples(st.floats(0.1, 3), st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=6),
    st.floats(4, 200),
)
def test_nobody_gets_less_than_it_needs_and_all_of_them_fit(
    wanted: list[tuple[float, bool, bool, bool]], usable: float
) -> None:
    needs = [_need(kv, more=more, turns=turns, sleeps=sleeps) for kv, more, turns, sleeps in wanted]
    try:
        dealt = deal(needs, Room(usable / 0.92, usable))
    except TooMuch:
        return
    for need, kv in zip(needs, dealt.kv_gib, strict=True):
        assert kv >= need.kv_gib - 1e-9
    always = sum(need.fixed_gib + kv for need, kv in zip(needs, dealt.kv_gib, strict=True) if not need.turns)
    turn = max((need.fixed_gib + kv for need, kv in zip(needs, dealt.kv_gib, strict=True) if need.turns), default=0)
    assert always + turn + dealt.kept_gib <= usable + 1e-6
