"""The report's charts, from a report's data."""

from __future__ import annotations

from typing import Any

from loadtest.report.figures import figures
from loadtest.report.svg_charts import Chart
from tests.loadtest.answers import failed, good
from tests.loadtest.report.test_html_page import report
from tests.loadtest.reports import Side, make


def by_title(content: dict[str, Any]) -> dict[str, Chart]:
    return {chart.title: chart for chart in figures(content)}


def sample(at_s: float, **known: float) -> dict[str, object]:
    names = "running waiting kv_usage generation_tokens preemptions prefix_queries prefix_hits memory_bytes".split()
    return {"at_s": at_s, "side": "server", **{name: known.get(name) for name in names}}


def test_latency_points_carry_their_values() -> None:
    chart = by_title(report(good(0, 40, [(10, 1)] * 5)))["Time to first token"]
    assert [line.name for line in chart.lines] == ["p50", "p95"]
    assert chart.lines[0].dots[0].title == "p50: 40 ms at 50 users"
    assert [tick.label for tick in chart.x_ticks] == ["50"]


def test_a_stage_without_good_answers_is_a_gap() -> None:
    content = report(failed(0, 10))
    assert by_title(content)["Time to first token"].empty == "no good answer"
    content = make(users=(1, 5))
    outcome = content["records"]["columns"].index("outcome")
    for row in content["records"]["rows"][:3]:
        row[outcome] = "cut"
    assert [dot.title[-7:] for dot in by_title(content)["Time to first token"].lines[0].dots] == ["5 users"]


def test_the_distribution_counts_good_answers_only() -> None:
    chart = by_title(report(good(0, 40, []), good(0, 60, []), failed(0, 5000)))[
        "Distribution of the time to first token"
    ]
    assert [line.name for line in chart.lines] == ["50 users"]
    assert float(chart.x_ticks[-1].label) <= 60
    assert chart.lines[0].path.count("L") == 3


def test_samples_become_lines_with_the_stages_behind_them() -> None:
    content = report(good(0, 40, [(10, 1)]))
    content["samples"] = [
        sample(0.1, running=3, waiting=1, kv_usage=0.5),
        sample(0.2),
        sample(0.9, running=5, waiting=0),
    ]
    charts = by_title(content)
    running, waiting = charts["Batch size"].lines
    assert [dot.title for dot in running.dots] == [
        "running (the batch): 3 requests at 0.1 s",
        "running (the batch): 5 requests at 0.9 s",
    ]
    assert running.path.count("M") == 2 and waiting.dashed
    assert charts["KV cache in use"].lines[0].dots[0].title == "KV cache: 50 % at 0.1 s"
    assert charts["Memory of the engine's processes"].empty.endswith("give --pid")
    assert [band.title for band in charts["Batch size"].bands] == ["50 users"]


def test_samples_from_before_the_run_are_left_out() -> None:
    content = report(good(0, 40, [(10, 1)]))
    content["samples"] = [sample(-0.5, running=9), sample(0.5, running=2)]
    assert len(by_title(content)["Batch size"].lines[0].dots) == 1


def test_many_samples_are_a_line_without_dots() -> None:
    content = report(good(0, 40, [(10, 1)]))
    content["samples"] = [sample(index / 10, running=index % 7) for index in range(500)]
    line = by_title(content)["Batch size"].lines[0]
    assert line.dots == [] and line.path.count("L") == 499


def test_intervals_are_drawn_where_there_are_values_enough() -> None:
    one, many = by_title(make(users=(1, 50))), by_title(make(users=(1, 50), repeats=3))
    p50, p95 = many["Time to first token"].lines
    assert (len(p50.bars), len(p95.bars)) == (2, 1)
    assert all(bar.top <= dot.y <= bar.bottom for bar, dot in zip(p50.bars, p50.dots, strict=True))
    rate = "Output tokens per second"
    assert (len(one[rate].lines[0].bars), len(many[rate].lines[0].bars)) == (0, 2)


def test_several_sides_have_a_line_each() -> None:
    charts = by_title(make([Side("a"), Side("b", itl_ms=30)]))
    assert [line.name for line in charts["Time between tokens"].lines] == ["a p50", "a p95", "b p50", "b p95"]
    assert [line.name for line in charts["Batch size"].lines] == ["a running", "a waiting", "b running", "b waiting"]
    assert [line.name for line in charts["Distribution of the time between tokens at 10 users"].lines] == ["a", "b"]
    assert charts["KV cache in use"].bands[1].title == "b, 1 user"


def test_throughput_against_latency_names_the_users_at_its_points() -> None:
    (line,) = by_title(make())["Throughput against latency"].lines
    assert [dot.mark for dot in line.dots] == ["1", "5", "10"]
    assert [dot.x for dot in line.dots] == sorted(dot.x for dot in line.dots)


def test_stages_without_a_number_of_users_have_their_labels() -> None:
    content = make()
    for stage in content["stages"]:
        stage |= {"users": None, "label": f"{stage['position']}/s"}
    chart = by_title(content)["Time to first token"]
    assert [tick.label for tick in chart.x_ticks] == ["1/s", "2/s", "3/s"]
    assert chart.lines[0].dots[0].title.endswith("at 1/s")
