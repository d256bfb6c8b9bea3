"""report.html from the report's data: one file, nothing fetched, no script."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from loadtest.analysis import comparison
from loadtest.analysis.intervals import Estimate
from loadtest.analysis.knee import DEFINITION, knee
from loadtest.analysis.points import Point, points, side_names, slo_of
from loadtest.client.token_counts import told
from loadtest.report import document, svg_charts, text_table, usage_text
from loadtest.report.figures import figures

_TEMPLATES = Path(__file__).parent / "templates"
_MAX_FAILURE_EXAMPLES = 3
# What the two tables of "How sure" show of each stage: heading, metric, unit.
_RATES = (
    ("total time", "total_time_s", "s"),
    ("tok/s", "output_tokens_per_s", ""),
    ("goodput", "goodput_per_s", "/s"),
    ("within SLO", "attainment", "%"),
    ("lived TTFT p95", "ttft_from_plan_p95_ms", "ms"),
)
_LATENCIES = (
    ("TTFT p50", "ttft_p50_ms", "ms"),
    ("TTFT p95", "ttft_p95_ms", "ms"),
    ("TTFT p99", "ttft_p99_ms", "ms"),
    ("ITL p50", "itl_p50_ms", "ms"),
    ("ITL p95", "itl_p95_ms", "ms"),
    ("ITL p99", "itl_p99_ms", "ms"),
    ("E2E p50", "e2e_p50_ms", "ms"),
    ("E2E p95", "e2e_p95_ms", "ms"),
    ("E2E p99", "e2e_p99_ms", "ms"),
)


def render(content: Mapping[str, Any]) -> str:
    """The page. `content` is what report.json holds."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {
        "ms": text_table.milliseconds,
        "memory": text_table.memory,
        "share": text_table.share,
        "number": text_table.number,
        "usage": usage_text.usage_line,
        "plain": _plain,
        "times": comparison.times,
        "pair": text_table.pair,
        "without_tpot": _without_tpot,
    }
    found, sides = points(content), side_names(content)
    compared = comparison.rows(found, sides)
    return environment.get_template("report.html.j2").render(
        report=content,
        sides=sides,
        headings=text_table.HEADINGS,
        rows=[(row["side"], text_table.cells(row)) for row in text_table.rows(content)],
        sure=[
            ([heading for heading, _, _ in shown], [(point, _sure(point, shown)) for point in found])
            for shown in (_RATES, _LATENCIES)
        ],
        repeats=max((len(point.stages) for point in found), default=1),
        slo=slo_of(content).text or "none",
        knees=[knee(side, found) for side in sides],
        knee_definition=DEFINITION,
        compared=compared,
        losses=comparison.losses(compared),
        compared_headings=[name for name, _ in comparison.SHOWN.values()],
        stamp=_stamp(content),
        itl_told=told([stage["client"] for stage in content["stages"]]),
        figures=figures(content),
        failures=_failures(content),
        noticed=[line for stage in content["stages"] for line in _noticed(stage, _called(stage, content))],
        kinds=[
            (_called(stage, content), kind, of) for stage in content["stages"] for kind, of in stage["by_kind"].items()
        ],
        models=[
            (_called(stage, content), model, of)
            for stage in content["stages"]
            for model, of in stage.get("by_model", {}).items()
        ],
        geometry=geometry(),
    )


def write(content: Mapping[str, Any], directory: Path) -> Path:
    return document.write(directory / "report.html", render(content).encode())


def geometry() -> dict[str, int]:
    """Of every chart, for `chart.svg.j2`."""
    return {
        "width": svg_charts.WIDTH,
        "height": svg_charts.HEIGHT,
        "left": svg_charts.LEFT,
        "right": svg_charts.WIDTH - svg_charts.RIGHT,
        "top": svg_charts.TOP,
        "bottom": svg_charts.HEIGHT - svg_charts.BOTTOM,
    }


def _without_tpot(client: Mapping[str, Any]) -> str:
    """How many good answers are not in TPOT, beside its value; empty when none is missing."""
    missing = client["good"] - (client["tpot_ms"]["count"] if client["tpot_ms"] else 0)
    return f" ({missing} of {client['good']} left out)" if missing else ""


def _sure(point: Point, shown: Sequence[tuple[str, str, str]]) -> list[tuple[str, str]]:
    """(value, interval) of each metric, as text; of times and rates also the lowest and the highest repeat."""
    made = []
    for _, metric, unit in shown:
        value, within = _in_words(point.estimate(metric), unit)
        repeats = sorted(point.repeats(metric))
        if len(repeats) > 1:
            within += f"; repeats {text_table.milliseconds(repeats[0])} to {text_table.milliseconds(repeats[-1])}"
        made.append((value, within))
    return made


def _in_words(estimate: Estimate | None, unit: str) -> tuple[str, str]:
    if estimate is None:
        return text_table.DASH, ""
    scale = 100 if unit == "%" else 1
    value = f"{text_table.milliseconds(estimate.value * scale)} {unit}".rstrip()
    if estimate.low is None or estimate.high is None:
        return value, ""
    low, high = (text_table.milliseconds(max(0.0, bound) * scale) for bound in (estimate.low, estimate.high))
    return value, f"{low} to {high}"


def _stamp(content: Mapping[str, Any]) -> dict[str, Any]:
    """How far the client itself can be believed, in a line that stands beside the verdict."""
    stages = content["stages"]
    lag = max((s["health"]["lag_p99_ms"] for s in stages if s["health"]["lag_p99_ms"] is not None), default=None)
    cpu = max((s["health"]["cpu_share"] for s in stages if s["health"]["cpu_share"] is not None), default=None)
    invalid = [_called(stage, content) for stage in stages if not stage["valid"]]
    checked = content["client"].get("selfcheck")
    return {
        "valid": bool(stages) and not invalid and not content["doubts"],
        "invalid": invalid,
        "lag": lag,
        "limit": max((stage["health"]["lag_limit_ms"] for stage in stages), default=None),
        "cpu": cpu,
        "processes": _by_process(stages),
        "checked": checked,
        "errors": _errors(checked) if checked else [],
    }


def _by_process(stages: Sequence[Mapping[str, Any]]) -> list[float | None]:
    """The worst lag of each client process, where there are several."""
    each = [[one["lag_p99_ms"] for one in stage["health"].get("processes", [])] for stage in stages]
    return [max((lag for lag in lags if lag is not None), default=None) for lags in zip(*each, strict=True)]


def _called(stage: Mapping[str, Any], content: Mapping[str, Any]) -> str:
    label = str(stage["label"]) if len(content["sides"]) < 2 else f"{stage['side']} at {stage['label']}"
    return f"{label} (repeat {stage['repeat']})" if stage["repeat"] > 1 else label


def _errors(checked: Mapping[str, Any]) -> list[str]:
    rows: Sequence[Mapping[str, Any]] = checked["rows"]
    return [f"{row['metric']} {row['statistic']} {row['error_ms']:+.1f} ms of {row['true_ms']:.0f}" for row in rows]


def _plain(value: object) -> str:
    """A value of the meta as text a person reads."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple) and all(isinstance(part, str | int | float) for part in value):
        return " ".join(str(part) for part in value) or text_table.DASH
    return text_table.DASH if value is None else json.dumps(value, ensure_ascii=False)


def _noticed(stage: Mapping[str, Any], called: str) -> Iterator[str]:
    """What is no failure and yet not as it should be."""
    client = stage["client"]
    if client["refusals"]:
        refused = ", ".join(f"{count} times {status}" for status, count in client["refusals"].items())
        waited = f"; {client['retried']} sent again with success, {client['waited_s']:.1f} s of Retry-After obeyed"
        yield f"{called}: refused {refused}" + (waited if client["retried"] else "")
    if client["no_usage"]:
        yield f"{called}: {client['no_usage']} answers had no usage: their tokens are counted as chunks"
    for name, word in (("too_long", "more"), ("too_short", "fewer")):
        if client[name]:
            yield f"{called}: {client[name]} answers had {word} tokens than asked for"
    if stage["warmup_failures"]:
        failed = ", ".join(f"{count} {name}" for name, count in stage["warmup_failures"].items())
        yield f"{called}: requests of the warm-up failed ({failed})"


def _failures(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each class of failure of each stage, with a few of the messages."""
    columns = content["records"]["columns"]
    stage_at, outcome, detail = (columns.index(name) for name in ("stage", "outcome", "detail"))
    found = []
    for stage in content["stages"]:
        for name, count in stage["client"]["failures"].items():
            rows = content["records"]["rows"]
            texts = [row[detail] for row in rows if row[stage_at] == stage["number"] and row[outcome] == name]
            examples = list(dict.fromkeys(texts))[:_MAX_FAILURE_EXAMPLES]
            found.append({"stage": _called(stage, content), "class": name, "count": count, "examples": examples})
    return found
