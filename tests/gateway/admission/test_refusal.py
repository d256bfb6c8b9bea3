"""When one who was refused may come back."""

from __future__ import annotations

import pytest

from gateway.admission import refusal


@pytest.mark.parametrize(
    ("ahead", "rate", "seconds"), [(1, 0.0, 1), (1, 8.0, 1), (9, 2.0, 5), (500, 1.0, refusal.MAX_RETRY_AFTER_S)]
)
def test_when_those_before_it_will_have_left(ahead: int, rate: float, seconds: int) -> None:
    error = refusal.overloaded(ahead, rate, "9 requests wait", "queue_full")
    assert (error.retry_after, error.reason) == (seconds, "queue_full")
    assert str(error) == f"overloaded: 9 requests wait; try again in {seconds} s"
