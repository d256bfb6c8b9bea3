"""Which stages a mode makes, in which order, and when their requests are due."""

from __future__ import annotations

import random
from statistics import mean, stdev

import pytest

from loadtest.workload.arrivals import Arrivals, StagePlan, interleaved, poisson


@pytest.mark.parametrize(
    ("arrivals", "labels"),
    [
        (Arrivals("closed", users=(1, 5)), ["1 user", "5 users"]),
        (Arrivals("burst", users=(5, 50)), ["burst of 5", "burst of 50"]),
        (Arrivals("open", rates=(0.5, 4)), ["0.5/s", "4/s"]),
        (Arrivals("ramp", rates=(1, 8)), ["1 to 8/s"]),
        (Arrivals("soak", users=(10,), seconds=600), ["10 users for 600 s"]),
    ],
)
def test_a_stage_is_called_by_what_arrives(arrivals: Arrivals, labels: list[str]) -> None:
    assert [stage.label for stage in arrivals.stages()] == labels


def test_a_burst_is_one_request_of_each_user_and_a_soak_ends_by_the_clock() -> None:
    burst, soak = Arrivals("burst", users=(7,)).stages()[0], Arrivals("soak", users=(7,), seconds=9).stages()[0]
    assert (burst.requests_per_user, burst.seconds) == (1, None)
    assert (soak.requests_per_user, soak.seconds) == (None, 9)


def test_sides_take_turns_within_a_stage_and_change_their_order_from_repeat_to_repeat() -> None:
    plans = interleaved(Arrivals("closed", users=(1, 5)), ["a", "b"], repeats=2)
    assert [(plan.repeat, plan.position, plan.side) for plan in plans] == [
        (1, 1, "a"), (1, 1, "b"), (1, 2, "a"), (1, 2, "b"),
        (2, 1, "b"), (2, 1, "a"), (2, 2, "b"), (2, 2, "a"),
    ]  # fmt: skip
    assert [plan.number for plan in plans] == list(range(1, 9))
    assert plans[0] == StagePlan(1, 1, 1, "a", "closed", users=1, requests_per_user=4)


def test_arrivals_are_a_poisson_process_of_the_wanted_rate() -> None:
    """20/s for 1,000 s: 20,000 +/- 141 (one sigma), gaps exponential, so their deviation is their mean."""
    starts = poisson((20, 20), 1000, random.Random(7))
    assert abs(len(starts) - 20_000) < 5 * 141
    assert starts == sorted(starts) and 0 < starts[0] and starts[-1] < 1000
    gaps = [later - earlier for earlier, later in zip(starts, starts[1:], strict=False)]
    assert mean(gaps) == pytest.approx(0.05, rel=0.05)
    assert stdev(gaps) == pytest.approx(0.05, rel=0.05)


@pytest.mark.parametrize(("rate", "first_half"), [((0, 40), 0.25), ((40, 0), 0.75), ((10, 30), 0.375)])
def test_a_ramp_has_its_requests_where_its_rate_is_high(rate: tuple[float, float], first_half: float) -> None:
    starts = poisson(rate, 1000, random.Random(3))
    assert abs(len(starts) - 20_000) < 5 * 141
    assert sum(start < 500 for start in starts) / len(starts) == pytest.approx(first_half, abs=0.02)
