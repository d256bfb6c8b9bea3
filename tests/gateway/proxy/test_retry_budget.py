"""The retry budget; with a clock that the test turns."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.retry_budget import WINDOW_S, RetryBudget


def test_p94_a_quiet_gateway_has_the_floor() -> None:
    budget = RetryBudget(0.1, floor_per_s=0.5)
    assert [budget.take(0.0) for _ in range(6)] == [True] * 5 + [False]


def test_p94_a_busy_one_has_its_share_besides() -> None:
    budget = RetryBudget(0.1, floor_per_s=0.5)
    for _ in range(100):
        budget.request(0.0)
    assert sum(budget.take(0.0) for _ in range(50)) == 15


def test_p94_what_was_taken_comes_back_with_time() -> None:
    budget = RetryBudget(0.0, floor_per_s=0.1)
    assert budget.take(0.0) and not budget.take(5.0)
    assert budget.take(WINDOW_S + 1)


@given(steps=st.lists(st.tuples(st.floats(0, 3), st.integers(0, 20), st.integers(0, 20)), max_size=40))
def test_p94_retries_never_pass_the_share_of_what_was_asked(steps: list[tuple[float, int, int]]) -> None:
    budget = RetryBudget(0.2, floor_per_s=1)
    now, asked, taken = 0.0, 0, 0
    for seconds, requests, wishes in steps:
        now += seconds
        for _ in range(requests):
            budget.request(now)
        asked += requests
        taken += sum(budget.take(now) for _ in range(wishes))
    assert taken <= 0.2 * asked + 1 * (now + WINDOW_S + 2)


def test_p94_nothing_at_all_switches_retries_off() -> None:
    budget = RetryBudget(0.0, floor_per_s=0.0)
    budget.request(0.0)
    assert not budget.take(0.0)
