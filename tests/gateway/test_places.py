"""The reserve, and the measure of pace."""

from __future__ import annotations

import pytest

from gateway.places import PACE_S, Drain, reserve_of


def test_p44_one_in_eight_is_kept_and_none_of_very_few() -> None:
    assert [reserve_of(places) for places in (0, 1, 3, 4, 8, 15, 16, 64)] == [0, 0, 0, 1, 1, 1, 2, 8]


def test_the_pace_is_departures_a_second_lately() -> None:
    drain = Drain()
    assert drain.rate(0) == 0
    for number in range(40):
        drain.left(number * 0.25)
    assert drain.rate(9.75) == pytest.approx(4, rel=0.05)
    assert drain.rate(10 + PACE_S) == 0


def test_one_departure_is_not_called_a_thousand_a_second() -> None:
    drain = Drain()
    drain.left(5.0)
    assert drain.rate(5.001) == 1
