"""The limit of one engine, against engines that are simulated in three lines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.engines.concurrency_limit import HEADROOM_PART, STEP_SHARE, ConcurrencyLimit
from gateway.engines.vllm_metrics import Report

SIZES = st.integers(1, 500)


def report(running: float = 0, waiting: float = 0, kv_usage: float = 0.1) -> Report:
    return Report(running, waiting, kv_usage, 0, 0, 0, 0)


def run(limit: ConcurrencyLimit, demand: int, capacity: int, polls: int) -> list[int]:
    """An engine that can run ``capacity`` requests; everything else that it gets waits in it."""
    values = []
    for _ in range(polls):
        sent = min(demand, limit.value)
        values.append(limit.observe(report(min(sent, capacity), max(0, sent - capacity)), sent))
    return values


@given(
    ceiling=SIZES,
    polls=st.lists(st.tuples(st.integers(0, 600), st.integers(0, 600), st.integers(0, 600)), max_size=60),
)
def test_it_stays_between_floor_and_ceiling_whatever_is_reported(
    ceiling: int, polls: list[tuple[int, int, int]]
) -> None:
    limit = ConcurrencyLimit(ceiling)
    for running, waiting, in_flight in polls:
        value = limit.observe(report(running, waiting), in_flight)
        assert 1 <= limit.floor <= value <= ceiling


@given(ceiling=st.integers(8, 400), share=st.floats(0.2, 1.0))
def test_p89_it_comes_to_what_the_engine_can_run_and_a_short_queue(ceiling: int, share: float) -> None:
    capacity = max(1, int(ceiling * share))
    values = run(ConcurrencyLimit(ceiling), demand=2 * ceiling, capacity=capacity, polls=120)[40:]
    queue, step = -(-capacity // HEADROOM_PART), max(1, ceiling // STEP_SHARE)
    assert min(values) >= min(ceiling, capacity)
    assert max(values) <= capacity + queue + step


@given(seats=st.integers(1, 400))
def test_p89_the_headroom_that_a_plan_gives_is_not_taken_away(seats: int) -> None:
    """The plan lets an eighth more in than there are seats, so that none stays empty; that queue is wanted."""
    ceiling = seats + -(-seats // HEADROOM_PART)
    assert set(run(ConcurrencyLimit(ceiling), demand=1000, capacity=seats, polls=50)) == {ceiling}


@given(ceiling=SIZES, capacity=SIZES)
def test_it_goes_down_only_while_the_engine_has_a_long_queue(ceiling: int, capacity: int) -> None:
    limit = ConcurrencyLimit(ceiling)
    values = run(limit, demand=1000, capacity=capacity, polls=10)
    assert (min(values) < ceiling) == (ceiling > capacity - (-capacity // HEADROOM_PART) and limit.floor < ceiling)


def test_one_poll_with_a_queue_is_none() -> None:
    limit = ConcurrencyLimit(64)
    for _ in range(20):
        limit.observe(report(10, 30), 40)
        limit.observe(report(40, 0), 40)
    assert limit.value == 64


def test_it_rises_only_while_it_binds() -> None:
    limit = ConcurrencyLimit(64)
    run(limit, demand=64, capacity=20, polls=12)
    low = limit.value
    assert low < 32
    run(limit, demand=low // 2, capacity=64, polls=50)
    assert limit.value == low
    values = run(limit, demand=64, capacity=64, polls=60)
    assert values[-1] == 64
    assert values[0] - low == 64 // STEP_SHARE and values[4] == 64  # a step, twice that, and so on


def test_others_share_what_is_too_many() -> None:
    """Half of what the engine has is another gateway's: each gives up half of the queue."""
    limit = ConcurrencyLimit(64)
    for _ in range(2):
        limit.observe(report(40, 20), 30)
    assert limit.value == 32  # 30 less half of the 15 too many is 22, but never to less than half in one go


def test_p89_a_queue_in_front_of_a_filled_cache_says_nothing_of_seats() -> None:
    """Long prompts wait for room; short ones that come after them would have had seats for a fifth."""
    limit = ConcurrencyLimit(63)
    for _ in range(20):
        limit.observe(report(13, 5, kv_usage=0.97), 18)
    assert limit.value == 63


def test_p89_a_queue_for_prompts_that_have_to_be_read_says_nothing_of_seats() -> None:
    limit = ConcurrencyLimit(63)
    for _ in range(20):
        limit.observe(report(12, 38, kv_usage=0.3), 50, reading=True)
    assert limit.value == 63


def test_somebody_elses_queue_takes_nothing_from_who_has_nothing_there() -> None:
    limit = ConcurrencyLimit(64)
    for _ in range(10):
        limit.observe(report(10, 50), 0)
    assert limit.value == 64
