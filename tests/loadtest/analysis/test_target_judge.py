"""Targets against whole reports: met, missed, not comparable, not judged, each with its reason."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from loadtest.analysis.points import Slo
from loadtest.analysis.verdict import PerformanceTarget
from tests.loadtest.reports import Side, make

OWN, OLLAMA = Side("planned", itl_ms=10), Side("ollama", itl_ms=30)
TWICE = PerformanceTarget("twice", 5, "total_time_s", times_better=2.0, baseline="ollama")
SEED = PerformanceTarget("five at once", 5, "total_time_s", below=3.0, applies_to={"model": "Qwen 1.5B"})


def judged(target: PerformanceTarget, *sides: Side, **options: Any) -> tuple[str, str]:
    (result,) = make(sides or [OWN], targets=[target], **options)["verdict"]["targets"]
    return result["status"], result["reason"]


def test_absolute_bounds_either_way() -> None:
    assert judged(SEED)[0] == "met"
    status, reason = judged(replace(SEED, below=0.1))
    assert status == "missed" and reason.startswith("total_time_s at 5 users < 0.1: measured 0.")
    assert judged(PerformanceTarget("t", 5, "output_tokens_per_s", at_least=10))[0] == "met"
    assert judged(PerformanceTarget("t", 5, "output_tokens_per_s", at_least=1e6))[0] == "missed"
    assert judged(PerformanceTarget("t", 5, "attainment", at_least=0.99))[0] == "met"
    assert judged(PerformanceTarget("t", 5, "failures", below=1))[0] == "met"


def test_repeats_show_their_interval() -> None:
    reason = judged(SEED, OWN, repeats=3)[1]
    assert "[" in reason and judged(SEED)[1].count("[") == 0


def test_a_target_for_another_machine_or_plan_is_not_judged_and_says_why() -> None:
    status, reason = judged(replace(SEED, applies_to={"model": "Llama 8B"}))
    assert status == "not judged" and "Llama 8B" in reason and "Qwen2.5-1.5B" in reason
    assert "--meta" in judged(replace(SEED, applies_to={"gpu": "RTX 4090"}))[1]
    assert judged(replace(SEED, requests_per_user=1))[1] == "it is for 1 request(s) per user, and this run sent 3"
    assert judged(replace(SEED, users=7))[1] == "the run has no stage of 7 users"
    assert "mode burst" in judged(replace(SEED, mode="burst"))[1]
    assert judged(replace(SEED, side="other"))[1] == "it is for a side named 'other', and this run has planned"


def test_fast_failures_do_not_meet_a_target() -> None:
    status, reason = judged(SEED, replace(OWN, failures=2))
    assert status == "missed" and reason.endswith("2 of 17 requests failed")


def test_a_relative_target_is_met_or_missed_with_its_interval() -> None:
    status, reason = judged(TWICE, OWN, OLLAMA, repeats=3)
    assert status == "met" and "at least 2 times better than ollama: measured 2." in reason and "[2." in reason
    status, reason = judged(replace(TWICE, times_better=4.4), OWN, OLLAMA)
    assert status == "missed" and reason.endswith("no interval, too few values or repeats")
    assert judged(replace(TWICE, side="ollama", baseline="planned"), OWN, OLLAMA)[0] == "missed"


def test_a_bound_within_the_noise_is_called_that() -> None:
    noisy = [replace(side, jitter=0.9, tokens=3) for side in (OWN, OLLAMA)]
    _, reason = judged(replace(TWICE, metric="e2e_p50_ms", times_better=1.35), *noisy, repeats=3)
    assert reason.endswith("the interval holds the bound: repeat more to be sure")


def test_without_the_baseline_a_relative_target_is_not_judged() -> None:
    status, reason = judged(TWICE, OWN)
    assert (
        status == "not judged"
        and reason == "it compares with 'ollama', and this run has no side of that name (planned)"
    )


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (replace(OLLAMA, tokens=10), "more than 5% apart, so not the same work"),
        (replace(OLLAMA, failures=1), "ollama: 1 of 16 requests failed"),
    ],
)
def test_unlike_sides_are_not_comparable(other: Side, told: str) -> None:
    status, reason = judged(TWICE, OWN, other)
    assert status == "not comparable" and told in reason


def test_a_number_one_side_lacks_is_not_comparable() -> None:
    target = replace(TWICE, metric="memory_peak_bytes")
    status, reason = judged(target, OWN, replace(OLLAMA, memory_gib=None))
    assert status == "not comparable" and reason.endswith("memory_peak_bytes is not known of ollama")


def test_the_verdict_follows_and_what_cannot_be_believed_stays() -> None:
    assert make(targets=[SEED])["verdict"]["exit_code"] == 0
    assert make(targets=[replace(SEED, below=0.1)])["verdict"]["exit_code"] == 1
    late = make([replace(OWN, lag_ms=50)], targets=[replace(SEED, below=0.1)])["verdict"]
    assert (late["kind"], late["exit_code"], late["targets"][0]["status"]) == ("invalid", 3, "missed")
    assert make(targets=[SEED], complete=False)["verdict"]["exit_code"] == 130


def test_failures_without_a_target_are_named_by_their_stage() -> None:
    verdict = make([replace(OWN, failures=1)], users=(1,))["verdict"]
    assert (verdict["kind"], verdict["reasons"]) == ("failures", ["1 user: 1 of 4 failed (1 429)"])


def test_the_slo_is_written_into_the_report() -> None:
    assert make(slo=Slo(ttft_ms=77))["slo"] == {"ttft_ms": 77, "tpot_ms": 100.0, "e2e_ms": None}
