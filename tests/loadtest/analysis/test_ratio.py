"""Two sides: which is better by how much, and when they must not be compared."""

from __future__ import annotations

from dataclasses import replace

import pytest

from loadtest.analysis.points import Point, points
from loadtest.analysis.ratio import Compared, compare, unlike
from tests.loadtest.reports import Side, make

A, B = Side("a", itl_ms=10), Side("b", itl_ms=30)


def pair(one: Side, other: Side, repeats: int = 3) -> tuple[Point, Point]:
    first, second = points(make([one, other], users=(10,), repeats=repeats))
    return first, second


def compared(metric: str, repeats: int = 3) -> Compared:
    made = compare(*pair(A, B, repeats), metric)
    assert made is not None
    return made


def test_better_is_above_one_whichever_way_is_better() -> None:
    for metric in ("total_time_s", "output_tokens_per_s", "itl_p50_ms", "requests_per_s"):
        made = compared(metric)
        assert 2 < made.better.value < 4 and made.surely_better and not made.surely_worse
    quick, slow = pair(A, B)
    back = compare(slow, quick, "itl_p50_ms")
    assert back is not None and back.surely_worse and back.better.value < 0.5


def test_one_repeat_has_no_interval_for_a_rate_and_is_never_sure() -> None:
    made = compared("output_tokens_per_s", repeats=1)
    assert made.better.value > 2 and not made.surely_better and not made.surely_worse


def test_the_same_server_is_neither_better_nor_worse() -> None:
    one, other = pair(replace(A, name="x"), replace(A, name="y"))
    for metric in ("total_time_s", "ttft_p50_ms", "itl_p95_ms", "e2e_p50_ms"):
        made = compare(one, other, metric)
        assert made is not None and not made.surely_better and not made.surely_worse


def test_what_is_not_known_is_not_compared() -> None:
    one, other = pair(A, replace(B, memory_gib=None))
    assert compare(one, other, "memory_peak_bytes") is None


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (replace(B, tokens=19), None),
        (replace(B, tokens=18), "a answered 20.0 tokens on average, b 18.0: more than 5% apart"),
        (replace(B, failures=1), "b: 1 of 31 requests failed"),
    ],
)
def test_the_guard_between_sides(other: Side, reason: str | None) -> None:
    found = unlike(*pair(A, other, repeats=1))
    assert found == reason if reason is None else found is not None and found.startswith(reason)


def test_other_plans_are_not_compared() -> None:
    (one,), (other,) = points(make([A], users=(10,))), points(make([B], users=(10,)))
    other.stages[0]["requests_per_user"] = 9  # type: ignore[index]
    assert unlike(one, other) == "requests per user: a had 3, b had 9"
    (stopped,) = points(make([B], users=(10,), complete=False))
    assert unlike(one, stopped) == "b was stopped before its end"
