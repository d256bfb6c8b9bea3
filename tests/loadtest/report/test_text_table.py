"""The table as text: width, alignment, dashes, marks."""

from __future__ import annotations

import re
from typing import Any

import pytest

from loadtest.report import text_table
from tests.loadtest.answers import good
from tests.loadtest.report.test_html_page import report
from tests.loadtest.reports import Side, make

UNKNOWN: dict[str, Any] = {"memory_peak_bytes": None, "kv_peak": None, "batch_peak": None}


def stage(users: int = 5, complete: bool = True, samples: int = 10, **numbers: object) -> dict[str, Any]:
    """A stage as report.json has it; numbers go to whichever part has a number of that name."""
    made: dict[str, Any] = report(good(0, 10, [(5, 1)]))["stages"][0] | {"users": users, "complete": complete}
    made["server"] |= {"samples": samples, "memory_peak_bytes": 3 * 2**30, "kv_peak": 0.25, "batch_peak": 5.0}
    for name, value in numbers.items():
        made["server" if name in made["server"] else "client"][name] = value
    return made


def spread(p50: float, p95: float) -> dict[str, float]:
    return {"p50": p50, "p95": p95}


def columns(text: str) -> list[list[str]]:
    """The cells of each line, cut where the rule under the headings has its dashes."""
    lines = text.splitlines()
    places = [match.span() for match in re.finditer("-+", lines[1])]
    return [[line[start:end] for start, end in places] for line in lines if not line.startswith("* ")]


LADDER = [
    stage(1, total_time_s=2.5, output_tokens_per_s=99.94, ttft_ms=spread(0.84, 12.44), itl_ms=spread(9.96, 99.9)),
    stage(50, False, 3, total_time_s=1234.5, output_tokens_per_s=12345.6, ttft_ms=spread(1240.4, 98765.4)),
    stage(10, samples=0, itl_ms=None, **UNKNOWN),
]


def test_the_whole_table() -> None:
    rows = [[cell.strip() for cell in line] for line in columns(text_table.text(LADDER))]
    assert rows[0] == list(text_table.HEADINGS)
    assert rows[2:] == [
        ["1", "2.50 s", "99.9", "0.84 / 12.4 ms", "10.0 / 99.9 ms", "3.0 GiB", "25 %", "5", "0"],
        ["50*", "1234.50 s", "12346", "1240 / 98765 ms", "5.0 / 5.0 ms", "3.0 GiB", "≥ 25 %", "≥ 5", "0"],
        ["10", "0.01 s", rows[4][2], "10.0 / 10.0 ms", "– / –", "–", "–", "–", "0"],
    ]


def test_every_column_is_aligned_to_the_right_and_two_blanks_part_it_from_the_next() -> None:
    text = text_table.text(LADDER)
    lines = text.splitlines()[:-1]
    assert len({len(line) for line in lines}) == 1
    for line, cells in zip(lines, columns(text), strict=True):
        assert "  ".join(cells) == line
        assert not any(cell.endswith(" ") for cell in cells)


def test_columns_are_no_wider_than_their_widest_cell() -> None:
    for column in zip(*columns(text_table.text(LADDER)), strict=True):
        assert any(not cell.startswith((" ", "-")) for cell in column)


def test_a_large_machine_with_failures_and_few_samples_fits_120_columns() -> None:
    wide = stage(
        1000, False, 9,
        total_time_s=86399.99, output_tokens_per_s=123456.7, requests=4000, failures={"429": 3000, "cut": 999},
        ttft_ms=spread(123456, 599999), itl_ms=spread(12345, 119999), memory_peak_bytes=1023 * 2**30, kv_peak=1.0,
        batch_peak=1000.0,
    )  # fmt: skip
    lines = text_table.text([stage(1), wide]).splitlines()
    assert lines[3].endswith("3999 of 4000") and "1023.0 GiB" in lines[3] and "≥ 100 %" in lines[3]
    assert max(map(len, lines)) <= 120


def test_zero_is_not_unknown() -> None:
    row = text_table.cells(stage(memory_peak_bytes=0, kv_peak=0.0, batch_peak=0.0, output_tokens_per_s=0.0))
    assert (row[2], *row[5:]) == ("0.0", "0 MiB", "0 %", "0", "0")


@pytest.mark.parametrize(("samples", "mark"), [(0, "≥ "), (1, "≥ "), (9, "≥ "), (10, ""), (1000, "")])
def test_a_peak_of_fewer_than_ten_samples_has_a_mark(samples: int, mark: str) -> None:
    row = text_table.cells(stage(samples=samples))
    assert row[6:8] == (f"{mark}25 %", f"{mark}5")
    assert text_table.cells(stage(samples=samples, **UNKNOWN))[5:8] == ("–", "–", "–")


def test_only_a_stopped_stage_has_a_star_and_the_star_is_explained() -> None:
    assert "*" not in text_table.text([stage(1), stage(5)])
    lines = text_table.text([stage(1), stage(5, complete=False)]).splitlines()
    assert lines[-1] == "* stopped before its end"
    assert [line.split()[0] for line in lines[2:4]] == ["1", "5*"]


def test_a_run_without_a_stage_is_the_headings() -> None:
    head, rule = text_table.text([]).splitlines()
    assert head.split("  ") == list(text_table.HEADINGS)
    assert rule == re.sub(r"\S", "-", "  ".join("x" * len(heading) for heading in text_table.HEADINGS))


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (0.0, "0.00"), (0.999, "1.00"), (1.0, "1.0"), (99.94, "99.9"), (100.4, "100")]
)
def test_milliseconds_have_three_figures(value: float | None, text: str) -> None:
    assert text_table.milliseconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (0, "0 MiB"), (5 * 2**20, "5 MiB"), (2**30, "1.0 GiB"), (1.26 * 2**30, "1.3 GiB")]
)
def test_memory_is_in_binary_units(value: float | None, text: str) -> None:
    assert text_table.memory(value) == text


def test_a_number_has_the_digits_and_the_unit_it_is_given() -> None:
    assert (text_table.number(None, 2, " s"), text_table.number(1.005e3, 2, " s"), text_table.number(7.6)) == (
        "–",
        "1005.00 s",
        "8",
    )


def test_repeats_are_one_row_and_sides_have_a_table_each() -> None:
    thrice = make([Side("a"), Side("b", memory_gib=5.0, failures=1)], users=(1, 10), repeats=3)
    rows = text_table.rows(thrice)
    assert [(row["side"], row["users"], row["client"]["requests"]) for row in rows] == [
        ("a", 1, 9), ("a", 10, 90), ("b", 1, 12), ("b", 10, 93),
    ]  # fmt: skip
    totals = [stage["client"]["total_time_s"] for stage in thrice["stages"] if stage["side"] == "a"][::2]
    assert rows[0]["client"]["total_time_s"] == pytest.approx(sum(totals) / 3)
    assert text_table.cells(rows[3])[5] == "5.0 GiB" and text_table.cells(rows[3])[-1] == "3 of 93"
    text = text_table.sided(thrice)
    assert text.startswith("a (Qwen/Qwen2.5-1.5B-Instruct)\nusers") and "\n\nb (Qwen" in text
    assert text_table.sided(make()).startswith("users")


def test_a_stage_without_a_number_of_users_is_called_by_its_label() -> None:
    assert text_table.cells(stage() | {"users": None, "label": "4/s"})[0] == "4/s"
