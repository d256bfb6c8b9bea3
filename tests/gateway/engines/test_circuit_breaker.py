"""Open, half-open, closed; with a clock that the test turns."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.engines.circuit_breaker import FAILURES, JITTER, LONGEST_S, SHORTEST_S, BreakerState, CircuitBreaker


def closed() -> CircuitBreaker:
    circuit_breaker = CircuitBreaker(lambda: 0.5)
    circuit_breaker.close(100.0)
    return circuit_breaker


def wait_of(circuit_breaker: CircuitBreaker, now: float) -> float:
    """Seconds until the next trial is due, to a hundredth."""
    return next(step / 100 for step in range(2000) if circuit_breaker.may_try(now + step / 100))


def test_p90_it_begins_open_and_may_be_tried_at_once() -> None:
    circuit_breaker = CircuitBreaker(lambda: 0.5)
    states = [circuit_breaker.state]
    assert circuit_breaker.may_try(0.0)
    circuit_breaker.trying()
    states.append(circuit_breaker.state)
    assert not circuit_breaker.may_try(0.0)
    circuit_breaker.close(0.0)
    assert [*states, circuit_breaker.state] == [BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED]
    assert circuit_breaker.reason == ""


def test_p91_failures_in_a_row_count_and_a_success_ends_the_row() -> None:
    circuit_breaker = closed()
    for _ in range(FAILURES - 1):
        assert not circuit_breaker.failed("it answered 500")
    circuit_breaker.succeeded()
    for _ in range(FAILURES - 1):
        assert not circuit_breaker.failed("it answered 500")
    assert circuit_breaker.failed("it answered 500")
    assert "3 requests in a row failed, the last: it answered 500" in circuit_breaker.reason


def test_p91_the_wait_grows_and_is_forgiven_after_a_good_time() -> None:
    circuit_breaker, now, waits = closed(), 100.0, []
    for _ in range(5):
        circuit_breaker.open(now, "broken")
        waits.append(wait_of(circuit_breaker, now))
        now += waits[-1]
    assert waits == [0.5, 1.0, 2.0, 3.0, 3.0]
    circuit_breaker.close(now)
    circuit_breaker.open(now + 1, "again")
    assert wait_of(circuit_breaker, now + 1) == LONGEST_S
    circuit_breaker.close(now + 5)
    circuit_breaker.open(now + 100, "long after")
    assert wait_of(circuit_breaker, now + 100) == SHORTEST_S


@given(random=st.floats(0, 1, exclude_max=True), times=st.integers(1, 40))
def test_p91_jitter_never_makes_it_longer_than_promised(random: float, times: int) -> None:
    circuit_breaker = CircuitBreaker(lambda: random)
    for _ in range(times):
        circuit_breaker.open(1000.0, "broken")
    assert circuit_breaker.may_try(1000.0 + LONGEST_S * (1 + JITTER))
    assert not circuit_breaker.may_try(1000.0 + SHORTEST_S * (1 - JITTER) - 0.001)


def test_p90_what_has_come_back_by_itself_need_not_wait() -> None:
    circuit_breaker = closed()
    circuit_breaker.open(200.0, "gone", wait=False)
    assert circuit_breaker.may_try(200.0)


def test_a_trial_of_a_closed_one_takes_nothing_from_it() -> None:
    circuit_breaker = closed()
    circuit_breaker.trying()
    assert circuit_breaker.closed
