"""Table and page from a report's data, without a run."""

from __future__ import annotations

from typing import Any

import pytest

from loadtest import page, table
from loadtest.arrivals import StagePlan
from loadtest.health import judge_client
from loadtest.metrics import summarise
from loadtest.record import Outcome, Record
from loadtest.report import Run, StageReport, as_dict, read_json, write_json
from loadtest.verdict import StageFacts, judge
from loadtest.watch import join
from tests.loadtest.answers import failed, good


def report(*records: Record, complete: bool = True) -> dict[str, Any]:
    client = summarise(records, 0)
    health = judge_client((0.2, 0.1), records, client)
    plan = StagePlan(1, 1, 1, "server", "closed", users=50, requests_per_user=1)
    stage = StageReport(plan, 50, complete, {}, 0.0, 1.0, client, {}, health, join([], 0, 1))
    verdict = judge([StageFacts(50, client, health)], complete)
    arguments = {"base_url": "http://x", "model": "m", "users": [50], "requests_per_user": 1, "max_tokens": 8}
    side = {"name": "server", "base_url": "http://x", "model": "m", "meta": {}}
    return as_dict(Run("2026-11-23T00:00:00+00:00", 0, arguments, {}, {}, {}, [stage], records, {}, verdict, [side]))


def test_unknown_is_a_dash_and_never_a_zero() -> None:
    row = table.cells(report(failed(0, 10))["stages"][0])
    assert dict(zip(table.HEADINGS, row, strict=True)) == {
        "users": "50",
        "total time": "0.01 s",
        "tok/s": "–",
        "TTFT p50/p95": "– / –",
        "ITL p50/p95": "– / –",
        "memory": "–",
        "KV peak": "–",
        "batch peak": "–",
        "failures": "1 of 1",
    }


def test_the_table_stays_within_120_columns_for_large_numbers() -> None:
    stage = report(good(0, 1234567, [(123456, 1)] * 3))["stages"][0]
    stage["server"] |= {"memory_peak_bytes": 123 * 2**30, "kv_peak": 1.0, "batch_peak": 1024}
    lines = table.text([stage, {**stage, "complete": False}]).splitlines()
    assert max(map(len, lines)) <= 120
    assert len({len(line) for line in lines[:-1]}) == 1


def test_a_peak_of_few_samples_is_a_lower_bound() -> None:
    stage = report(good(0, 10, [(5, 1)]))["stages"][0]
    stage["server"] |= {"samples": 9, "batch_peak": 3.0, "kv_peak": 0.5}
    assert table.cells(stage)[6:8] == ("≥ 50 %", "≥ 3")
    stage["server"]["samples"] = 10
    assert table.cells(stage)[6:8] == ("50 %", "3")


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (0.0, "0 %"), (0.004, "0.40 %"), (0.05, "5.0 %"), (0.5, "50 %"), (1.0, "100 %")]
)
def test_shares(value: float | None, text: str) -> None:
    assert table.share(value) == text


def test_failures_are_shown_with_what_was_seen() -> None:
    bad = failed(0, 10, Outcome.OVERLOADED)
    bad.detail = "HTTP 429 (Retry-After: 7): <full>"
    html = page.render(report(good(0, 10, [(5, 1)]), bad, bad))
    assert "Some requests failed." in html
    assert html.count("HTTP 429 (Retry-After: 7): &lt;full&gt;") == 1


def test_a_page_without_samples_says_what_to_give() -> None:
    html = page.render(report(good(0, 10, [(5, 1)])))
    assert "no sample of an engine: give --engine-metrics" in html
    assert "give --pid" in html


def test_a_page_of_an_empty_run_can_be_made() -> None:
    empty = report(good(0, 10, [(5, 1)]), complete=False) | {"stages": [], "records": {"columns": [], "rows": []}}
    empty["records"]["columns"] = report(failed(0, 1))["records"]["columns"]
    assert "incomplete" in page.render(empty)


def test_records_keep_their_gaps_and_times(tmp_path: Any) -> None:
    content = report(good(10, 30, [(5, 1), (20, 4)]))
    write_json(content, tmp_path)
    records = read_json(tmp_path)["records"]
    row = dict(zip(records["columns"], records["rows"][0], strict=True))
    assert (row["send_us"], row["first_us"], row["last_us"]) == (10_000, 30_000, 55_000)
    assert row["gaps_us"] == [5000, [20000, 4]]
    assert (row["outcome"], row["output_tokens"]) == ("ok", 6)
    assert list(tmp_path.iterdir()) == [tmp_path / "report.json"]
