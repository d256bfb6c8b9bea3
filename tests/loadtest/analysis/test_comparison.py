"""Where which side wins, in rows and in words."""

from __future__ import annotations

from loadtest.analysis.comparison import SHOWN, losses, rows, times
from loadtest.analysis.points import points, side_names
from tests.loadtest.reports import Side, make

QUICK_START, QUICK_FLOW = Side("start", ttft_ms=20, itl_ms=30), Side("flow", ttft_ms=60, itl_ms=10)


def test_the_first_side_is_held_against_every_other() -> None:
    report = make([QUICK_FLOW, QUICK_START, Side("third")], users=(1, 5))
    made = rows(points(report), side_names(report))
    assert [(row.own, row.other, row.label) for row in made] == [
        ("flow", "start", "1 user"), ("flow", "start", "5 users"),
        ("flow", "third", "1 user"), ("flow", "third", "5 users"),
    ]  # fmt: skip
    assert all(len(row.cells) == len(SHOWN) and row.unlike is None for row in made)


def test_what_the_other_side_does_better_is_told_and_nothing_else() -> None:
    report = make([QUICK_FLOW, QUICK_START], users=(10,), repeats=3)
    told = losses(rows(points(report), side_names(report)))
    assert [line.split(" against")[0].rsplit(" ", 1)[0] for line in told] == [
        "start wins at 10 users: TTFT p50", "start wins at 10 users: TTFT p95",
    ]  # fmt: skip
    assert "chance" not in told[0]


def test_a_win_without_an_interval_may_be_chance() -> None:
    report = make([QUICK_FLOW, QUICK_START], users=(1,))
    told = losses(rows(points(report), side_names(report)))
    assert told and all("no interval, it may be chance" in line for line in told if "TTFT" in line)


def test_unlike_sides_win_nothing() -> None:
    report = make([QUICK_FLOW, Side("short", ttft_ms=20, tokens=5)], users=(5,))
    (row,) = rows(points(report), side_names(report))
    assert row.unlike is not None and set(row.cells) == {None} and losses([row]) == []
    assert times(row.cells[0]) == ("–", "")


def test_a_ratio_has_its_interval_beside_it() -> None:
    report = make([QUICK_FLOW, QUICK_START], users=(10,), repeats=3)
    (row,) = rows(points(report), side_names(report))
    value, within = times(row.cells[1])
    assert value.endswith("×") and " to " in within and float(value[:-1]) > 1
