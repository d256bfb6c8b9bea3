"""Geometry: where values go, and that missing data is a gap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.report.svg_charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    TOP,
    Axes,
    Series,
    by_category,
    distribution,
    over_range,
    range_ticks,
    round_ticks,
    staircase,
    tick_label,
)

AXES = Axes("Title", "users at once", "milliseconds", "ms", "s")
LADDER = Axes("Title", "users at once", "milliseconds", "ms", "users")


@given(st.floats(1e-4, 1e9))
def test_ticks_are_round_and_reach_the_highest(highest: float) -> None:
    ticks = round_ticks(highest)
    assert ticks[0] == 0 and ticks[-1] >= highest * 0.999
    assert 2 <= len(ticks) <= 8
    assert tick_label(ticks[1]).rstrip("0").replace("0.", "").lstrip("0")[:1] in ("1", "2", "5", "")


@given(st.floats(0, 1e5), st.floats(0, 1e5))
def test_range_ticks_enclose_what_is_drawn(one: float, other: float) -> None:
    low, high = sorted((one, other))
    ticks = range_ticks(low, high)
    room = 1e-6 * max(high, 1e-3)
    assert ticks[0] <= low + room and ticks[-1] >= high - room
    assert len(ticks) <= 10


def test_ticks_of_nothing() -> None:
    assert round_ticks(0) == [0.0, 1.0]


@pytest.mark.parametrize(("value", "label"), [(0, "0"), (0.2, "0.2"), (500, "500"), (5000, "5k"), (12500, "12.5k")])
def test_tick_labels_are_short(value: float, label: str) -> None:
    assert tick_label(value) == label


def test_zero_lies_on_the_axis_and_the_highest_tick_on_top() -> None:
    chart = by_category(LADDER, ["1", "5"], [Series("p50", [(0, 0.0), (1, 100.0)], 0)])
    assert [dot.y for dot in chart.lines[0].dots] == [HEIGHT - BOTTOM, TOP]
    assert chart.lines[0].dots[1].title == "p50: 100 ms at 5 users"
    assert [tick.label for tick in chart.x_ticks] == ["1", "5"]


def test_missing_values_break_the_line() -> None:
    chart = over_range(AXES, [Series("kv", [(0, 1.0), (1, None), (2, 3.0), (3, 4.0)], 0)])
    assert chart.lines[0].path.count("M") == 2
    assert len(chart.lines[0].dots) == 3


def test_without_data_it_says_so() -> None:
    chart = by_category(Axes("T", "x", "y", empty="nobody looked"), ["1"], [Series("p50", [(0, None)], 0)])
    assert chart.empty == "nobody looked" and chart.lines == []


def test_bands_lie_over_their_time_and_hide_labels_that_do_not_fit() -> None:
    chart = over_range(AXES, [Series("s", [(0, 1.0), (100, 1.0)], 0)], [(0, 50, "5 users"), (50, 51, "10 users")])
    assert chart.bands[0].x == LEFT and chart.bands[0].label == "5 users"
    assert (chart.bands[1].label, chart.bands[1].title) == ("", "10 users")
    assert chart.bands[1].x == pytest.approx(chart.bands[0].x + chart.bands[0].width, abs=0.2)


def test_a_distribution_may_begin_above_zero() -> None:
    chart = over_range(AXES, [Series("s", staircase([20.0, 21.0, 23.0]), 0)], from_zero=False)
    assert chart.x_ticks[0].label == "20" and chart.x_ticks[0].at == LEFT


def test_a_staircase_rises_to_all() -> None:
    assert staircase([3, 1]) == [(1, 0), (1, 50), (3, 50), (3, 100)]


def test_a_distribution_of_many_values_is_drawn_by_its_quantiles() -> None:
    line = distribution(range(10_000))
    assert len(line) == 201
    assert [line[0], line[100], line[-1]] == [(0, 0), (4974, 49.75), (9949, 99.5)]
    assert distribution([2.0, 1.0]) == staircase([1.0, 2.0])


def test_intervals_and_marks_belong_to_their_points() -> None:
    series = Series("s", [(0, 10.0), (1, None), (2, 20.0)], 0, bars=[(2, 15.0, 40.0)], marks=["one", "two"])
    (line,) = over_range(AXES, [series]).lines
    assert [dot.mark for dot in line.dots] == ["one", "two"]
    (bar,) = line.bars
    assert bar.x == line.dots[1].x and bar.top == TOP and bar.top < line.dots[1].y < bar.bottom
