"""The knee: found, not reached, or not to be told."""

from __future__ import annotations

from loadtest.analysis.knee import Knee, knee
from loadtest.analysis.points import Slo, points
from tests.loadtest.reports import Side, make


def found(side: Side, users: tuple[int, ...] = (1, 5, 10, 50), slo: Slo | None = None) -> Knee:
    return knee(side.name, points(make([side], users=users, slo=slo)))


def test_goodput_that_grows_to_the_end_has_no_knee() -> None:
    made = found(Side(ttft_ms=40))
    assert made.users is None and made.text.startswith("not reached: goodput still grew at 50 users")


def test_the_knee_is_where_more_users_bring_no_more_good_answers() -> None:
    made = found(Side(ttft_ms=20, ttft_ms_per_user=19, jitter=0.01), slo=Slo(ttft_ms=500))
    assert made.users == 10 and made.text.startswith("10 users (")
    assert made.text.endswith("requests/s there, 0 at 50)")


def test_a_server_that_never_keeps_the_slo_has_none() -> None:
    made = found(Side(ttft_ms=900), slo=Slo(ttft_ms=100))
    assert made.users is None and made.text == "none: no answer kept the SLO at any number of users"


def test_two_stages_or_a_late_client_are_not_enough() -> None:
    assert "at least three valid stages" in found(Side(), users=(1, 5)).text
    assert "at least three valid stages" in found(Side(lag_ms=50)).text
