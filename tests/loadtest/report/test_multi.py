"""Several reports as one table: which rows, in which order, and what of them cannot be laid side by side."""

from __future__ import annotations

from typing import Any

import pytest

from loadtest.report.multi import MultiReport, joined
from tests.loadtest.reports import Side, make

SMALL, LARGE = "org/Small-0.5B", "org/Large-7B"


def with_meta(content: dict[str, Any], **meta: object) -> dict[str, Any]:
    return {**content, "meta": meta}


@pytest.fixture(scope="module")
def two() -> MultiReport:
    """Two models, each measured by a run of its own; the second with three repeats."""
    small = with_meta(make([Side(model=SMALL)], users=(1, 5, 10)), kv_tokens_reported=120_448)
    large = with_meta(make([Side(model=LARGE, ttft_ms=90)], users=(1, 5), repeats=3), kv_tokens_planned=9000)
    return joined({"small": small, "large": large})


def test_a_row_for_each_model_and_number_of_users(two: MultiReport) -> None:
    assert [(row.model, row.users, row.repeats) for row in two.rows] == [
        (SMALL, 1, 1), (SMALL, 5, 1), (SMALL, 10, 1), (LARGE, 1, 3), (LARGE, 5, 3),
    ]  # fmt: skip
    assert not two.several_servers and two.exit_code == 0


def test_the_numbers_are_those_of_the_reports(two: MultiReport) -> None:
    small, large = two.rows[1], two.rows[4]
    assert 30 < (small.ttft_p50_ms or 0) < 50 < 80 < (large.ttft_p50_ms or 0) < 100
    assert small.memory_peak_bytes == 2 * 2**30 and small.preemptions == large.preemptions == 0
    assert (small.kv_tokens, small.kv_tokens_are) == (120_448, "reported")
    assert (large.kv_tokens, large.kv_tokens_are) == (9000, "planned")
    assert large.requests == 45 and (small.total_time_s or 0) > 0 and (small.output_tokens_per_s or 0) > 0


def test_models_of_several_reports_and_sides_stand_together() -> None:
    first = make([Side("vllm", model=SMALL), Side("other", model=LARGE)], users=(1,))
    found = joined({"a": first, "b": make([Side(model=SMALL)], users=(5,))})
    assert [(row.model, row.server, row.report) for row in found.rows] == [
        (SMALL, "vllm", "a"), (SMALL, "b", "b"), (LARGE, "other", "a"),
    ]  # fmt: skip
    assert found.several_servers
    assert [(model, server) for model, server, _ in found.knees] == [(SMALL, "vllm"), (SMALL, "b"), (LARGE, "other")]


def test_the_model_of_the_meta_is_the_one_that_a_reader_knows() -> None:
    served = with_meta(make([Side(model="chat")], users=(1,)), model=SMALL)
    assert joined({"a": served}).rows[0].model == SMALL


def test_the_worst_report_decides_the_exit_code_and_its_rows_are_marked() -> None:
    clean, late = make(users=(1,)), make([Side("server", lag_ms=9, model=LARGE)], users=(1,))
    found = joined({"clean": clean, "late": late})
    assert found.exit_code == 3 and [row.believed for row in found.rows] == [True, False]
    failing = make([Side(failures=1)], users=(1,))
    assert joined({"clean": clean, "failing": failing}).exit_code == 1
    assert joined({"stopped": make(users=(1,), complete=False), "failing": failing}).exit_code == 130


def test_reports_that_asked_for_different_things_are_told() -> None:
    long = make([Side(tokens=200, model=LARGE)], users=(1,))
    assert joined({"a": make(users=(1,)), "b": long}).notes == ["not the same load: max tokens 20 in a, 200 in b"]


def test_a_report_without_stages_has_a_verdict_and_no_row() -> None:
    found = joined({"empty": make(users=()), "a": make(users=(1,))})
    assert [row.report for row in found.rows] == ["a"] and set(found.verdicts) == {"empty", "a"}
