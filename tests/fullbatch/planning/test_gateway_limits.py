from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullbatch import catalog
from fullbatch.catalog import WorkloadShape
from fullbatch.planning import gateway_limits
from fullbatch.planning.gateway_limits import AdmissionBounds, EnginePool

WORKLOADS = catalog.workloads()
pools = st.builds(
    EnginePool,
    engines=st.integers(1, 8),
    seats=st.integers(1, 1024),
    fit=st.integers(0, 5000),
    step_s=st.none() | st.floats(0.001, 1),
    kv_tokens=st.integers(0, 10**7),
)
workloads = st.sampled_from(sorted(WORKLOADS))
users = st.integers(1, 10_000)


def _admission(pool: EnginePool, people: int, name: str = "chat") -> AdmissionBounds:
    return gateway_limits.admission(pool, people, name, WORKLOADS[name])


@pytest.mark.parametrize(("seats", "running"), [(56, 63), (8, 9), (1, 2), (256, 288)])
@pytest.mark.parametrize("fit", [0, 25, 1000])
def test_the_seats_bound_what_runs_and_the_context_does_not(seats: int, fit: int, running: int) -> None:
    assert _admission(EnginePool(1, seats, fit, None, 40_000), 50).max_running == running


def test_copies_run_their_sum() -> None:
    one, three = (_admission(EnginePool(engines, 32, 100, None, 40_000), 50) for engines in (1, 3))
    assert (one.max_running, three.max_running) == (36, 108)
    assert (one.max_running_each, three.max_running_each) == (36, 36)


def test_what_is_let_in_is_said_in_tokens() -> None:
    said = _admission(EnginePool(1, 56, 9, 0.005, 40_560), 50).why_running
    assert "about 158 of 256 tokens or about 40 of 1,000 tokens" in said
    assert "about 316 of 256 tokens" in _admission(EnginePool(2, 56, 9, 0.005, 40_560), 50).why_running


@given(pools, users, workloads)
def test_as_many_people_as_it_is_for_may_ask_at_once_and_wait(pool: EnginePool, people: int, name: str) -> None:
    made = _admission(pool, people, name)
    gateway = gateway_limits.limits(pool.engines * pool.seats, made)
    assert made.users == people <= made.max_queued <= gateway.max_in_flight


@given(pools, users, workloads)
def test_bounds_are_positive_and_no_seat_stays_empty(pool: EnginePool, people: int, name: str) -> None:
    made = _admission(pool, people, name)
    assert made.max_running > pool.engines * pool.seats
    assert made.max_queued >= 1
    assert made.queue_timeout_s == WORKLOADS[name].queue_timeout_s
    assert pool.served <= pool.engines * pool.seats
    assert all(len(why) > 10 for why in (made.why_running, made.why_queued, made.why_timeout))


@given(pools, users, users, workloads)
def test_more_users_never_make_a_shorter_queue(pool: EnginePool, a: int, b: int, name: str) -> None:
    few, many = (_admission(pool, people, name) for people in sorted((a, b)))
    assert few.max_queued <= many.max_queued
    assert few.max_running == many.max_running


@given(pools, users, st.integers(0, 1000))
def test_more_memory_never_lets_fewer_wait(pool: EnginePool, people: int, more: int) -> None:
    larger = dataclasses.replace(pool, fit=pool.fit + more)
    if pool.step_s is None:  # else what runs at once need not wait
        assert _admission(pool, people).max_queued >= _admission(larger, people).max_queued
    else:
        drains = [gateway_limits.drained(one, WORKLOADS["chat"]) or 0 for one in (pool, larger)]
        assert drains[0] <= drains[1]


@given(pools, users, workloads)
def test_nobody_is_queued_who_would_only_time_out(pool: EnginePool, people: int, name: str) -> None:
    drains = gateway_limits.drained(pool, WORKLOADS[name])
    if drains is not None:
        assert _admission(pool, people, name).max_queued <= max(people, drains)


def test_the_drain_rate() -> None:
    """10 requests of 100 tokens at 50 ms a step: 2 a second, 60 in half a minute."""
    assert gateway_limits.drained(EnginePool(1, 10, 10, 0.05, 10_000), WorkloadShape(100, 30, 2)) == 60
    assert gateway_limits.drained(EnginePool(1, 10, 10, None, 10_000), WorkloadShape(100, 30, 2)) is None


@given(pools, users, workloads)
def test_the_outer_bounds_stand_behind(pool: EnginePool, people: int, name: str) -> None:
    made = _admission(pool, people, name)
    gateway = gateway_limits.limits(pool.engines * pool.seats, made)
    assert made.max_running + made.max_queued <= gateway.max_in_flight < gateway_limits.engine_bound(gateway)


@given(
    users, st.builds(EnginePool, st.just(1), st.integers(8, 256), st.integers(8, 256), st.just(0.02), st.just(10_000))
)
def test_a_batch_waits_longer_and_in_a_longer_queue_than_a_chat(people: int, pool: EnginePool) -> None:
    chat, jobs = _admission(pool, people, "chat"), _admission(pool, people, "batch")
    assert chat.queue_timeout_s < jobs.queue_timeout_s
    assert chat.max_queued <= jobs.max_queued
