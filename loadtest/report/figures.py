"""Which charts a report has, made from its own data. One side is coloured by percentile, several by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from loadtest.analysis.points import Point as Measured
from loadtest.analysis.points import points, side_names
from loadtest.report.svg_charts import Axes, Chart, ChartPoint, Series, by_category, distribution, over_range

_NOT_WATCHED = "no sample of an engine: give --engine-metrics, or --prometheus to `report`"
_NO_MEMORY = "no process was watched: give --pid"
_NO_ANSWER = "no good answer"
_MAX_DOTS = 120
_STYLES = 6

Samples = Sequence[Mapping[str, Any]]
Bands = Sequence[tuple[float, float, str]]


def figures(report: Mapping[str, Any]) -> list[Chart]:
    found = points(report)
    sides = side_names(report)
    charts = _StageCharts(found, sides)
    bands = [(stage["start_s"], stage["end_s"], _band(stage, sides)) for stage in report["stages"]]
    samples = {side: [s for s in report["samples"] if s["side"] == side] for side in sides}
    return [
        charts.latency("Time to first token", "ttft"),
        charts.latency("Time between tokens", "itl"),
        charts.rate("Output tokens per second", "output_tokens_per_s", "tokens/s"),
        charts.rate("Goodput: answers per second that keep the SLO", "goodput_per_s", "answers/s"),
        charts.latency("Whole answer", "e2e"),
        _throughput_against_latency(found, sides),
        _spread("time to first token", "ttft", found, sides),
        _spread("time between tokens", "itl", found, sides),
        _batch(samples, bands),
        _over_time("KV cache in use", "% of the cache", ("kv_usage", 100), samples, bands),
        _over_time("Memory of the engine's processes", "MiB", ("memory_bytes", 2**-20), samples, bands),
    ]


def _band(stage: Mapping[str, Any], sides: Sequence[str]) -> str:
    return str(stage["label"]) if len(sides) == 1 else f"{stage['side']}, {stage['label']}"


class _StageCharts:
    """Charts whose x axis is the stages: users at once, or the labels where stages have no such number."""

    def __init__(self, found: Sequence[Measured], sides: Sequence[str]) -> None:
        self._sides = sides
        self._positions = sorted({point.position for point in found})
        self._at = {(point.side, point.position): point for point in found}
        by_users = all(point.users is not None for point in found)
        first = {point.position: point for point in reversed(found)}
        names = [(str(p.users) if by_users else p.label) for p in (first[at] for at in self._positions)]
        self._names = names
        self._x, self._unit = ("users at once", "users") if by_users else ("stage", "")

    def latency(self, title: str, family: str) -> Chart:
        axes = Axes(title, self._x, "milliseconds", "ms", self._unit, empty=_NO_ANSWER)
        series = []
        for index, side in enumerate(self._sides):
            several = len(self._sides) > 1
            for style, statistic in enumerate(("p50", "p95")):
                name = f"{side} {statistic}" if several else statistic
                chosen = index % _STYLES if several else style
                series.append(self._series(side, f"{family}_{statistic}_ms", name, chosen, dashed=style == 1))
        return by_category(axes, self._names, series)

    def rate(self, title: str, metric: str, unit: str) -> Chart:
        axes = Axes(title, self._x, unit, unit, self._unit, empty=_NO_ANSWER)
        alone = "mean of the repeats" if any(len(point.stages) > 1 for point in self._at.values()) else "measured"
        series = [
            self._series(side, metric, side if len(self._sides) > 1 else alone, index % _STYLES)
            for index, side in enumerate(self._sides)
        ]
        return by_category(axes, self._names, series)

    def _series(self, side: str, metric: str, name: str, style: int, dashed: bool = False) -> Series:
        line: list[ChartPoint] = []
        bars = []
        for x, position in enumerate(self._positions):
            point = self._at.get((side, position))
            estimate = point.estimate(metric) if point is not None else None
            line.append((x, None if estimate is None else estimate.value))
            if estimate is not None and estimate.low is not None and estimate.high is not None:
                bars.append((x, max(0.0, estimate.low), estimate.high))
        return Series(name, line, style, dashed, bars=bars)


def _throughput_against_latency(found: Sequence[Measured], sides: Sequence[str]) -> Chart:
    axes = Axes(
        "Throughput against latency", "output tokens/s", "TTFT p95, ms", "ms", "tokens/s", empty=_NO_ANSWER
    )  # fmt: skip
    series = []
    for index, side in enumerate(sides):
        line: list[ChartPoint] = []
        marks = []
        for point in (point for point in found if point.side == side):
            rate, latency = point.estimate("output_tokens_per_s"), point.estimate("ttft_p95_ms")
            if rate is not None and latency is not None:
                line.append((rate.value, latency.value))
                marks.append(str(point.users) if point.users is not None else point.label)
        name = side if len(sides) > 1 else "each stage, with its users"
        series.append(Series(name, line, index % _STYLES, marks=marks))
    return over_range(axes, series)


def _spread(what: str, family: str, found: Sequence[Measured], sides: Sequence[str]) -> Chart:
    """Of one side every stage; of several the busiest stage that all of them have."""
    shown = list(found)
    title = f"Distribution of the {what}"
    if len(sides) > 1:
        whole = [{p.position for p in found if p.side == side and p.values[family]} for side in sides]
        common = set.intersection(*whole)
        shown = [point for point in found if common and point.position == max(common)]
        title += f" at {shown[0].label}" if shown else ""
    series = [
        Series(point.side if len(sides) > 1 else point.label, distribution(values), index % _STYLES, dots=False)
        for index, point in enumerate(shown)
        if (values := point.values[family])
    ]
    axes = Axes(title, "milliseconds", "% at or below", "%", "ms", empty=_NO_ANSWER)
    return over_range(axes, series, y_top=100, from_zero=False)


def _batch(samples: Mapping[str, Samples], bands: Bands) -> Chart:
    axes = Axes("Batch size", "seconds since the run began", "requests", "requests", "s", empty=_NOT_WATCHED)
    series = []
    for index, (side, taken) in enumerate(samples.items()):
        several = len(samples) > 1
        for style, (name, called) in enumerate((("running", "running (the batch)"), ("waiting", "waiting"))):
            full = f"{side} {name}" if several else called
            chosen = index % _STYLES if several else style
            series.append(_line(full, taken, (name, 1.0), chosen, dashed=style == 1))
    return over_range(axes, series, bands)


def _over_time(title: str, unit: str, what: tuple[str, float], samples: Mapping[str, Samples], bands: Bands) -> Chart:
    """`what`: the sample's name, and what its values are multiplied by."""
    empty = _NO_MEMORY if what[0] == "memory_bytes" else _NOT_WATCHED
    axes = Axes(title, "seconds since the run began", unit, unit.split()[0], "s", empty=empty)
    called = {"kv_usage": "KV cache", "memory_bytes": "resident"}[what[0]]
    style = {"kv_usage": 3, "memory_bytes": 2}[what[0]]
    several = len(samples) > 1
    series = [
        _line(side if several else called, taken, what, index % _STYLES if several else style)
        for index, (side, taken) in enumerate(samples.items())
    ]
    return over_range(axes, series, bands)


def _line(name: str, taken: Samples, what: tuple[str, float], style: int, dashed: bool = False) -> Series:
    key, scale = what
    line: list[ChartPoint] = [(s["at_s"], None if s[key] is None else s[key] * scale) for s in taken if s["at_s"] >= 0]
    return Series(name, line, style, dashed, dots=len(taken) <= _MAX_DOTS)
