"""The limit of one engine, against engines that are simulated in three lines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.adapt import Limit
from gateway.reports import Report

SIZES = st.integers(1, 500)


def report(running: float = 0, waiting: float = 0, kv_usage: float = 0.1, preemptions: float = 0) -> Report:
    return Report(running, waiting, kv_usage, 0, 0, 0, preemptions)


def run(limit: Limit, demand: int, capacity: int, polls: int) -> list[int]:
    """An engine that can run ``capacity`` requests; everything else that it gets waits in it."""
    values = []
    for _ in range(polls):
        sent = min(demand, limit.value)
        values.append(limit.observe(report(min(sent, capacity), max(0, sent - capacity)), sent))
    return values


@given(
    ceiling=SIZES,
    polls=st.lists(
        st.tuples(st.integers(0, 600), st.integers(0, 600), st.floats(0, 1), st.integers(0, 9), st.integers(0, 600)),
        max_size=60,
    ),
)
def test_it_stays_between_floor_and_ceiling_whatever_is_reported(
    ceiling: int, polls: list[tuple[int, int, float, int, int]]
) -> None:
    limit = Limit(ceiling)
    preemptions = 0
    for running, waiting, kv_usage, more, in_flight in polls:
        preemptions += more
        value = limit.observe(report(running, waiting, kv_usage, preemptions), in_flight)
        assert 1 <= limit.floor <= value <= ceiling
    limit.observe(report(preemptions=0), 0)  # started anew: its counter is lower
    assert limit.value >= 1


@given(ceiling=st.integers(8, 400), share=st.floats(0.2, 1.0))
def test_it_comes_to_what_the_engine_can_run_and_stays_near(ceiling: int, share: float) -> None:
    capacity = max(1, int(ceiling * share))
    values = run(Limit(ceiling), demand=2 * ceiling, capacity=capacity, polls=120)[40:]
    step = max(1, ceiling // 20)
    assert min(values) >= min(ceiling, capacity) - 1
    assert max(values) <= capacity + 2 * step


@given(ceiling=SIZES, capacity=SIZES)
def test_it_goes_down_only_while_the_engine_has_a_queue(ceiling: int, capacity: int) -> None:
    limit = Limit(ceiling)
    values = run(limit, demand=1000, capacity=capacity, polls=10)
    assert (min(values) < ceiling) == (capacity < ceiling and limit.floor < ceiling)


def test_one_poll_with_a_waiting_request_is_no_queue() -> None:
    limit = Limit(64)
    for _ in range(20):
        limit.observe(report(10, 3), 13)
        limit.observe(report(13, 0), 13)
    assert limit.value == 64


def test_preemption_takes_back_at_once() -> None:
    limit = Limit(64)
    limit.observe(report(40), 40)
    assert limit.observe(report(40, preemptions=5), 40) == 35


def test_it_rises_slowly_and_only_while_it_binds() -> None:
    limit = Limit(64)
    run(limit, demand=64, capacity=20, polls=12)
    low = limit.value
    assert low < 32
    run(limit, demand=low // 2, capacity=64, polls=50)
    assert limit.value == low
    values = run(limit, demand=64, capacity=64, polls=60)
    assert values[-1] == 64
    assert all(after - before <= 3 for before, after in zip(values, values[1:], strict=False))


def test_it_does_not_rise_while_the_cache_is_full() -> None:
    limit = Limit(64)
    run(limit, demand=64, capacity=20, polls=12)
    low = limit.value
    for _ in range(30):
        limit.observe(report(low, 0, kv_usage=0.97), low)
    assert limit.value == low


def test_others_share_what_is_too_many() -> None:
    """Half of what the engine has is another gateway's: each gives up half of the queue."""
    limit = Limit(64)
    for _ in range(2):
        limit.observe(report(40, 20), 30)
    assert limit.value == 32  # 30 less half of the queue is 20, but never to less than half in one go
