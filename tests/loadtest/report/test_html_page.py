"""Table and page from a report's data, without a run."""

from __future__ import annotations

from typing import Any

import pytest

from loadtest.analysis.client_health import Pace, judge_client
from loadtest.analysis.metrics import summarise
from loadtest.analysis.verdict import PerformanceTarget, StageFacts, judge
from loadtest.client.record import Record, RequestOutcome
from loadtest.engines.sampling import join
from loadtest.report import html_page, text_table
from loadtest.report.document import FinishedRun, StageReport, as_dict, read_json, write_json
from loadtest.workload.arrivals import StagePlan
from tests.loadtest.answers import failed, good
from tests.loadtest.reports import Side, make


def report(*records: Record, complete: bool = True) -> dict[str, Any]:
    client = summarise(records, 0)
    health = judge_client([Pace(0.2, 0.1)], records, client)
    plan = StagePlan(1, 1, 1, "server", "closed", users=50, requests_per_user=1)
    stage = StageReport(plan, 50, complete, {}, 0.0, 1.0, client, {}, health, join([], 0, 1))
    verdict = judge([StageFacts(50, client, health)], complete)
    arguments = {"base_url": "http://x", "model": "m", "users": [50], "requests_per_user": 1, "max_tokens": 8}
    side = {"name": "server", "base_url": "http://x", "model": "m", "meta": {}}
    return as_dict(
        FinishedRun("2026-11-23T00:00:00+00:00", 0, arguments, {}, {}, {}, [stage], records, {}, verdict, [side])
    )


def test_unknown_is_a_dash_and_never_a_zero() -> None:
    row = text_table.cells(report(failed(0, 10))["stages"][0])
    assert dict(zip(text_table.HEADINGS, row, strict=True)) == {
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
    lines = text_table.text([stage, {**stage, "complete": False}]).splitlines()
    assert max(map(len, lines)) <= 120
    assert len({len(line) for line in lines[:-1]}) == 1


def test_a_peak_of_few_samples_is_a_lower_bound() -> None:
    stage = report(good(0, 10, [(5, 1)]))["stages"][0]
    stage["server"] |= {"samples": 9, "batch_peak": 3.0, "kv_peak": 0.5}
    assert text_table.cells(stage)[6:8] == ("≥ 50 %", "≥ 3")
    stage["server"]["samples"] = 10
    assert text_table.cells(stage)[6:8] == ("50 %", "3")


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (0.0, "0 %"), (0.004, "0.40 %"), (0.05, "5.0 %"), (0.5, "50 %"), (1.0, "100 %")]
)
def test_shares(value: float | None, text: str) -> None:
    assert text_table.share(value) == text


def test_failures_are_shown_with_what_was_seen() -> None:
    bad = failed(0, 10, RequestOutcome.OVERLOADED)
    bad.detail = "HTTP 429 (Retry-After: 7): <full>"
    html = html_page.render(report(good(0, 10, [(5, 1)]), bad, bad))
    assert "Some requests failed." in html
    assert html.count("HTTP 429 (Retry-After: 7): &lt;full&gt;") == 1


def test_several_sides_stand_in_one_report_with_their_engines() -> None:
    sides = [Side("planned", itl_ms=10, ttft_ms=60), Side("ollama", itl_ms=30, ttft_ms=20)]
    target = PerformanceTarget("twice", 5, "total_time_s", times_better=2.0, baseline="ollama")
    html = html_page.render(make(sides, repeats=3, targets=[target]))
    assert "Load test: planned against ollama" in html and "engine of ollama" in html and "--max-num-seqs 64" in html
    assert "1 of 1 targets met" in html and "3 repeats" in html
    assert "ollama wins at 5 users: TTFT p50" in html
    assert "Knee of planned" in html and "Knee of ollama" in html


def test_where_no_other_side_wins_it_is_said() -> None:
    html = html_page.render(make([Side("a", itl_ms=5, ttft_ms=10), Side("b")]))
    assert "Nowhere among the numbers above" in html and " wins at " not in html


def test_unlike_sides_are_shown_as_not_comparable() -> None:
    html = html_page.render(make([Side("a"), Side("b", tokens=10)]))
    assert html.count("not comparable: a answered 20.0 tokens on average, b 10.0") == 3


def test_the_client_s_own_error_stands_beside_the_verdict() -> None:
    content = make()
    assert "Client: valid" in html_page.render(content) and "Its error was not measured" in html_page.render(content)
    row = {"metric": "ttft", "statistic": "p50", "reported_ms": 41.2, "true_ms": 40.0, "error_ms": 1.2}
    checked = {"users": 50, "tokens_per_s": 50.0, "ok": True, "problems": [], "rows": [row]}
    content["client"]["selfcheck"] = checked
    assert "50 users at 50 tokens/s each: ttft p50 +1.2 ms of 40" in html_page.render(content)
    late = html_page.render(make([Side(lag_ms=50)]))
    assert "Client: not to be believed" in late and "(1 user; 5 users; 10 users)" in late


def test_what_is_no_failure_and_yet_not_right_is_told() -> None:
    content = make(users=(5,))
    assert "Noticed" not in html_page.render(content)
    content["stages"][0]["client"] |= {
        "refusals": {"429": 12}, "retried": 10, "waited_s": 3.14, "no_usage": 4, "too_long": 1, "too_short": 2,
    }  # fmt: skip
    content["stages"][0]["warmup_failures"] = {"503": 2}
    html = html_page.render(content)
    for line in (
        "5 users: refused 12 times 429; 10 sent again with success, 3.1 s of Retry-After obeyed",
        "5 users: 4 answers had no usage: their tokens are counted as chunks",
        "5 users: 1 answers had more tokens than asked for",
        "5 users: 2 answers had fewer tokens than asked for",
        "5 users: requests of the warm-up failed (2 503)",
    ):
        assert f"<li>{line}</li>" in html


def test_kinds_of_requests_have_rows_of_their_own() -> None:
    content = make(users=(5,))
    assert "By kind of request" not in html_page.render(content)
    content["stages"][0]["by_kind"] = {"heavy <key>": content["stages"][0]["client"]}
    html = html_page.render(content)
    assert "By kind of request" in html and "heavy &lt;key&gt;" in html


def test_the_head_says_requests_each_only_where_users_have_them() -> None:
    content = make(users=(1, 5))
    assert "1, 5 users · 3 requests each · 20 tokens per answer" in html_page.render(content)
    for stage in content["stages"]:
        stage |= {"mode": "open", "users": None, "requests_per_user": None, "label": "5/s"}
    content["workload"] = {"loop": "open: Poisson arrivals"}
    html = html_page.render(content)
    assert "requests each" not in html.partition("What was tested")[0] and "Open: Poisson arrivals." in html


def test_numbers_carry_their_intervals() -> None:
    html = html_page.render(make(users=(50,), repeats=3))
    assert html.count("<small>") >= 10 and "Student" in html and html.count("; repeats ") == 2
    assert html_page.render(report(good(0, 10, [(5, 1)]))).count("<small>") == 1  # the share within the SLO alone


def test_a_page_without_samples_says_what_to_give() -> None:
    html = html_page.render(report(good(0, 10, [(5, 1)])))
    assert "no sample of an engine: give --engine-metrics" in html
    assert "give --pid" in html


def test_a_page_of_an_empty_run_can_be_made() -> None:
    empty = report(good(0, 10, [(5, 1)]), complete=False) | {"stages": [], "records": {"columns": [], "rows": []}}
    empty["records"]["columns"] = report(failed(0, 1))["records"]["columns"]
    assert "incomplete" in html_page.render(empty)


def test_records_keep_their_gaps_and_times(tmp_path: Any) -> None:
    content = report(good(10, 30, [(5, 1), (20, 4)]))
    write_json(content, tmp_path)
    records = read_json(tmp_path)["records"]
    row = dict(zip(records["columns"], records["rows"][0], strict=True))
    assert (row["send_us"], row["first_us"], row["last_us"]) == (10_000, 30_000, 55_000)
    assert row["gaps_us"] == [5000, [20000, 4]]
    assert (row["outcome"], row["output_tokens"]) == ("ok", 6)
    assert list(tmp_path.iterdir()) == [tmp_path / "report.json"]


def test_the_lag_of_each_client_process_stands_beside_the_verdict() -> None:
    content = report(good(0, 10, [(5, 1)]))
    assert "processes; their loops" not in html_page.render(content)
    each = {"lag_p99_ms": 0.2, "dispatch_p99_ms": 0.1, "cpu_share": 0.1}
    content["stages"][0]["health"]["processes"] = [each, each | {"lag_p99_ms": 1.25}]
    assert "It had 2 processes; their loops were at most 0.20, 1.2 ms late." in html_page.render(content)


def test_tpot_says_how_many_answers_it_left_out() -> None:
    """Those that came in one read have no time between tokens."""
    assert "left out" not in html_page.render(report(good(0, 10, [(5, 1)]), good(0, 10, [(5, 1)])))
    assert "ms (2 of 3 left out)" in html_page.render(report(good(0, 10, [(5, 1)]), good(0, 10, []), good(0, 12, [])))
    assert "– ms (1 of 1 left out)" in html_page.render(report(good(0, 10, [])))


def test_terms_are_explained_where_they_stand() -> None:
    text = html_page.render(make(users=(1, 5, 10)))
    at = {
        word: text.index(word)
        for word in ("<dt>Knee</dt>", "Knee: the lowest measured", "lived TTFT p95", "Lived TTFT: ")
    }
    assert 0 < at["Knee: the lowest measured"] - at["<dt>Knee</dt>"] < 1500
    assert at["Lived TTFT: "] > at["lived TTFT p95"] and at["Lived TTFT: "] < text.index("What the words mean")
