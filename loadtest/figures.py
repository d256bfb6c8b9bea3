"""Which charts a report has, made from the report's own data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from loadtest.charts import Axes, Chart, Point, Series, by_category, over_range, staircase
from loadtest.verdict import users_text

_NOT_WATCHED = "no sample of an engine: give --engine-metrics"
_NO_MEMORY = "no process was watched: give --pid"
_MAX_DOTS = 120

Stages = Sequence[Mapping[str, Any]]


def figures(report: Mapping[str, Any]) -> list[Chart]:
    stages, samples = report["stages"], report["samples"]
    bands = [(stage["start_s"], stage["end_s"], _users(stage)) for stage in stages]
    return [
        _latency("Time to first token", "ttft_ms", stages),
        _latency("Time between tokens", "itl_ms", stages),
        _throughput(stages),
        _latency("Whole answer", "e2e_ms", stages),
        _distribution(report),
        _batch(samples, bands),
        _kv(samples, bands),
        _memory(samples, bands),
    ]


def _users(stage: Mapping[str, Any]) -> str:
    return users_text(stage["users"])


def _names(stages: Stages) -> list[str]:
    return [str(stage["users"]) for stage in stages]


def _latency(title: str, name: str, stages: Stages) -> Chart:
    axes = Axes(title, "users at once", "milliseconds", "ms", empty="no good answer")
    return by_category(
        axes,
        _names(stages),
        [
            Series("p50", _of(stages, name, "p50"), 0),
            Series("p95", _of(stages, name, "p95"), 1, dashed=True),
        ],
    )


def _of(stages: Stages, name: str, statistic: str) -> list[Point]:
    return [(i, (stage["client"][name] or {}).get(statistic)) for i, stage in enumerate(stages)]


def _throughput(stages: Stages) -> Chart:
    axes = Axes("Output tokens per second", "users at once", "tokens/s", "tokens/s", empty="no good answer")
    whole: list[Point] = [(i, stage["client"]["output_tokens_per_s"]) for i, stage in enumerate(stages)]
    steady: list[Point] = [(i, stage["client"]["steady_tokens_per_s"]) for i, stage in enumerate(stages)]
    return by_category(
        axes,
        _names(stages),
        [Series("whole stage", whole, 0), Series("while all users were busy", steady, 2, dashed=True)],
    )


def _distribution(report: Mapping[str, Any]) -> Chart:
    columns = report["records"]["columns"]
    stage_at, send, first, outcome = (columns.index(n) for n in ("stage", "send_us", "first_us", "outcome"))
    series = []
    for index, stage in enumerate(report["stages"]):
        times = [
            (row[first] - row[send]) / 1000
            for row in report["records"]["rows"]
            if row[stage_at] == stage["number"] and row[outcome] == "ok" and row[first] is not None
        ]
        series.append(Series(_users(stage), staircase(times), index % 6, dots=False))
    axes = Axes(
        "Distribution of the time to first token",
        "milliseconds",
        "% of answers at or below",
        "%",
        "ms",
        empty="no good answer",
    )
    return over_range(axes, series, y_top=100, from_zero=False)


def _samples(samples: Stages, name: str, scale: float = 1.0) -> list[Point]:
    return [(s["at_s"], None if s[name] is None else s[name] * scale) for s in samples if s["at_s"] >= 0]


def _batch(samples: Stages, bands: Sequence[tuple[float, float, str]]) -> Chart:
    axes = Axes("Batch size", "seconds since the run began", "requests", "requests", "s", empty=_NOT_WATCHED)
    dots = len(samples) <= _MAX_DOTS
    running = Series("running (the batch)", _samples(samples, "running"), 0, dots=dots)
    waiting = Series("waiting", _samples(samples, "waiting"), 1, dashed=True, dots=dots)
    return over_range(axes, [running, waiting], bands)


def _kv(samples: Stages, bands: Sequence[tuple[float, float, str]]) -> Chart:
    axes = Axes("KV cache in use", "seconds since the run began", "% of the cache", "%", "s", empty=_NOT_WATCHED)
    dots = len(samples) <= _MAX_DOTS
    return over_range(axes, [Series("KV cache", _samples(samples, "kv_usage", 100), 3, dots=dots)], bands)


def _memory(samples: Stages, bands: Sequence[tuple[float, float, str]]) -> Chart:
    axes = Axes("Memory of the engine's processes", "seconds since the run began", "MiB", "MiB", "s", empty=_NO_MEMORY)
    dots = len(samples) <= _MAX_DOTS
    return over_range(axes, [Series("resident", _samples(samples, "memory_bytes", 2**-20), 2, dots=dots)], bands)
