"""The CSV files: every stage, every request, nothing a spreadsheet would run."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from loadtest.core.errors import UsageProblem
from loadtest.report import csv_files
from tests.loadtest.reports import Side, make


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(text.splitlines()))


def test_a_stage_is_a_row_with_its_intervals() -> None:
    content = make([Side("a"), Side("b", memory_gib=None)], users=(1, 50), repeats=3)
    rows = read(csv_files.stages(content))
    assert [(row["side"], row["label"], row["repeats"], row["requests"]) for row in rows] == [
        ("a", "1 user", "3", "9"), ("a", "50 users", "3", "450"),
        ("b", "1 user", "3", "9"), ("b", "50 users", "3", "450"),
    ]  # fmt: skip
    busy = rows[1]
    assert float(busy["ttft_p95_ms_low"]) < float(busy["ttft_p95_ms"]) < float(busy["ttft_p95_ms_high"])
    assert rows[0]["ttft_p99_ms"] != "" and rows[0]["ttft_p99_ms_high"] == ""
    assert (rows[2]["memory_peak_bytes"], float(rows[0]["memory_peak_bytes"])) == ("", 2 * 2**30)


def test_a_request_is_a_row_with_its_side() -> None:
    content = make([Side("a"), Side("b", failures=1)], users=(5,))
    rows = read(csv_files.requests(content))
    assert len(rows) == len(content["records"]["rows"]) == 31
    assert {row["side"] for row in rows} == {"a", "b"}
    assert [row["detail"] for row in rows if row["outcome"] == "429"] == ["HTTP 429 (Retry-After: 7): <full>"]
    assert "gaps_us" not in rows[0] and int(rows[0]["first_us"]) > int(rows[0]["send_us"])


def test_a_text_cannot_be_taken_for_a_formula() -> None:
    content = make(users=(1,))
    detail = content["records"]["columns"].index("detail")
    content["records"]["rows"][0][detail] = "=HYPERLINK(1)"
    assert read(csv_files.requests(content))[0]["detail"] == "'=HYPERLINK(1)"


def test_files_are_written_or_refused_in_a_line(tmp_path: Path) -> None:
    assert [path.name for path in csv_files.write(make(), tmp_path)] == ["stages.csv", "requests.csv"]
    with pytest.raises(UsageProblem, match="choose another --out"):
        csv_files.write(make(users=(1,)), tmp_path / "missing")
