"""Placing panels: what a dashboard's author writes against where Grafana puts it."""

from dataclasses import replace
from itertools import combinations
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from grafana.dashboard import Dashboard, Row
from grafana.panels import Panel, lines
from grafana.query import Query


def panel(width: int, height: int) -> Panel:
    drawn = lines("Title", (Query("up", "up"),), "short", "What it shows.\nWhat to do.", width=width)
    return replace(drawn, height=height)


def placed(*rows: tuple[Panel, ...]) -> list[dict[str, Any]]:
    board = Dashboard("uid", "Title", "Description", tuple(Row(f"row {n}", panels) for n, panels in enumerate(rows)))
    panels: list[dict[str, Any]] = board.to_json()["panels"]
    return panels


def place(panel: dict[str, Any]) -> tuple[int, int]:
    return panel["gridPos"]["x"], panel["gridPos"]["y"]


def test_panels_go_from_left_to_right_and_wrap_below_the_tallest() -> None:
    header, a, b, c = placed((panel(12, 4), panel(12, 8), panel(6, 4)))
    assert [place(header), place(a), place(b), place(c)] == [(0, 0), (0, 1), (12, 1), (0, 9)]


def test_the_next_row_starts_below() -> None:
    _, _, second, below = placed((panel(24, 5),), (panel(6, 4),))
    assert (second["type"], place(second), place(below)) == ("row", (0, 6), (0, 7))


sizes = st.builds(panel, st.integers(1, 24), st.integers(1, 10))


@given(st.lists(st.lists(sizes, min_size=1, max_size=8).map(tuple), min_size=1, max_size=4))
def test_no_choice_of_sizes_makes_panels_overlap_or_leave_the_grid(rows: list[tuple[Panel, ...]]) -> None:
    grid = [item["gridPos"] for item in placed(*rows)]
    assert all(item["x"] + item["w"] <= 24 for item in grid)
    for a, b in combinations(grid, 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        assert beside or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]


def test_each_query_gets_its_letter_and_its_colour() -> None:
    drawn = lines("Title", (Query("up", "up"), Query("up", "of {{job}}")), "short", "What it shows.\nWhat to do.")
    shown = drawn.to_json(1, 0, 0)
    assert [target["refId"] for target in shown["targets"]] == ["A", "B"]
    # One query, many series: one fixed colour would make them one line.
    assert [override["matcher"]["options"] for override in shown["fieldConfig"]["overrides"]] == ["A"]
