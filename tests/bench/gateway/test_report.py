"""The tables say what was measured, what was reached, and what was not there."""

from __future__ import annotations

import pytest

from bench.gateway import report
from bench.gateway.results import Results

STREAM = {"cpu_us": 40.0, "delivered": 1.0, "failed": 0.0, "ttft_p50_ms": 1.5, "ttft_p99_ms": 9.0, "gap_p99_ms": 22.0}


def cells(rps: float) -> dict[str, dict[str, float]]:
    found = {
        "c50": {"rps": rps, "failed": 0.0, "cpu_ms": 0.08},
        "c1": {"p50_ms": 0.3},
        "paced": dict(STREAM),
        "step": dict(STREAM),
    }
    return {name: {**cell, "foreign": 0.0} for name, cell in found.items()}


@pytest.fixture
def results() -> Results:
    direct = cells(40000)
    for name in ("paced", "step"):
        direct[name] |= {"ttft_p50_ms": 0.5, "ttft_p99_ms": 0.5, "gap_p99_ms": 20.0}
    measured = {"ours": cells(12000), "direct": direct, "nginx": cells(20000)}
    once = {"ours": [{"start_s": 0.2, "rss_idle_mb": 30.0, "rss_peak_mb": 70.0, "disk_mb": 25.0}]}
    return Results("here", [measured], once, {"litellm": "not installed (run scripts/bench-peers)"})


def row_of(table: str, name: str) -> list[str]:
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {name} |")]
    return [part.strip() for part in line.strip("|").split("|")]


def test_direct_comes_first_then_the_fastest(results: Results) -> None:
    names = [line.split("|")[1].strip() for line in report.table(results).splitlines()[2:]]
    assert names == ["direct", "nginx", "ours", "litellm"]


def test_a_row_has_figures_ratios_and_what_is_added(results: Results) -> None:
    ours = row_of(report.table(results), "ours")
    assert ours[1:9] == ["12000", "0.300", "0.080", "0.30", "40", "100%", "0", "1.0 / 8.5"]
    assert ours[12:15] == ["30 / 70", "0.20", "25.0"]


def test_an_absent_gateway_has_a_row_that_says_why(results: Results) -> None:
    assert row_of(report.table(results), "litellm")[1] == "absent: not installed (run scripts/bench-peers)"


@pytest.mark.parametrize(
    ("figure", "verdict"),
    [
        ("requests/s, x direct", "met"),
        ("requests/s, x nginx", "goal"),
        ("requests/s, x litellm", "not measured"),
        ("TTFT added p99, ms", "missed"),
        ("delivered, x direct", "goal"),
        ("RSS peak, MB", "missed"),
    ],
)
def test_each_target_is_judged(results: Results, figure: str, verdict: str) -> None:
    assert row_of(report.targets(results), figure)[-1] == verdict


def test_what_was_measured_among_others_is_judged_with_doubt(results: Results) -> None:
    results.rounds[0]["ours"]["c50"]["foreign"] = 0.5
    assert row_of(report.targets(results), "requests/s, x direct")[-2:] == ["0.3~", "met? (noisy)"]
