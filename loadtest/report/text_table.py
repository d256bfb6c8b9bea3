"""The table of a run, for a terminal: at most 120 columns. A dash is "not known".

A row is a stage; of several repeats it is their mean, percentiles over all their answers, and the highest peak.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from loadtest.analysis.intervals import Estimate
from loadtest.analysis.points import Point, points, side_names
from loadtest.client.token_counts import told

DASH = "–"
ENOUGH_SAMPLES = 10
_PEAKS = ("memory_peak_bytes", "kv_peak", "batch_peak", "waiting_peak")
HEADINGS = (
    "users",
    "total time",
    "tok/s",
    "TTFT p50/p95",
    "ITL p50/p95",
    "memory",
    "KV peak",
    "batch peak",
    "failures",
)


def number(value: float | None, digits: int = 0, unit: str = "") -> str:
    return DASH if value is None else f"{value:.{digits}f}{unit}"


def milliseconds(value: float | None) -> str:
    """Three figures are enough: 0.84, 12.4, 1240."""
    if value is None:
        return DASH
    return f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def memory(value: float | None) -> str:
    if value is None:
        return DASH
    return f"{value / 2**30:.1f} GiB" if value >= 2**30 else f"{value / 2**20:.0f} MiB"


def share(value: float | None) -> str:
    """A percentage with the digits that its size deserves."""
    if value is None:
        return DASH
    percent = value * 100
    digits = 2 if 0 < percent < 1 else 1 if 0 < percent < 10 else 0
    return f"{percent:.{digits}f} %"


def pair(spread: Mapping[str, float] | None) -> str:
    return f"{DASH} / {DASH}" if spread is None else f"{milliseconds(spread['p50'])} / {milliseconds(spread['p95'])} ms"


def peak(text: str, samples: int) -> str:
    """A peak of few samples is a lower bound: users of a closed loop end together, and the batch empties between."""
    return text if text == DASH or samples >= ENOUGH_SAMPLES else f"≥ {text}"


def cells(stage: Mapping[str, Any]) -> tuple[str, ...]:
    """One stage as the texts of its row."""
    client, server = stage["client"], stage["server"]
    failed = sum(client["failures"].values())
    name = str(stage["users"]) if stage["users"] is not None else str(stage["label"])
    return (
        name + ("" if stage["complete"] else "*"),
        number(client["total_time_s"], 2, " s"),
        number(client["output_tokens_per_s"], 1 if (client["output_tokens_per_s"] or 0) < 100 else 0),
        pair(client["ttft_ms"]),
        pair(client["itl_ms"]),
        memory(server["memory_peak_bytes"]),
        peak(share(server["kv_peak"]), server["samples"]),
        peak(number(server["batch_peak"]), server["samples"]),
        f"{failed} of {client['requests']}" if failed else "0",
    )


def rows(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One for each side and stage, shaped like the stages of the report."""
    return [merged(point) for point in points(report)]


def merged(point: Point) -> dict[str, Any]:
    """The repeats of a stage as if they were one."""
    if len(point.stages) == 1:
        return dict(point.stages[0])
    clients = [stage["client"] for stage in point.stages]
    failures = Counter[str]()
    for client in clients:
        failures.update(client["failures"])
    spreads = {f"{family}_ms": _spread(point, family) for family in ("ttft", "itl", "e2e")}
    numbers = {name: _value(point.estimate(name)) for name in ("total_time_s", "output_tokens_per_s", "requests_per_s")}
    servers = [stage["server"] for stage in point.stages]
    peaks = {name: _highest(server[name] for server in servers) for name in _PEAKS}
    client = {"requests": point.requests, "failures": dict(failures), **numbers, **spreads}
    server = {"samples": sum(server["samples"] for server in servers), **peaks, "preemptions": _sum(servers)}
    return {**point.stages[0], "complete": point.complete, "client": client, "server": server}


def _spread(point: Point, family: str) -> dict[str, float] | None:
    p50, p95 = (point.estimate(f"{family}_{name}_ms") for name in ("p50", "p95"))
    return None if p50 is None or p95 is None else {"p50": p50.value, "p95": p95.value}


def _value(estimate: Estimate | None) -> float | None:
    return None if estimate is None else estimate.value


def _sum(servers: Sequence[Mapping[str, Any]]) -> float | None:
    """Preemptions of all repeats; a sum with an unknown part is unknown."""
    known = [server["preemptions"] for server in servers]
    return None if None in known else sum(known)


def _highest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def sided(report: Mapping[str, Any]) -> str:
    """The table of a report: under a heading for each side where there are several."""
    sides, made = side_names(report), rows(report)
    note = told([stage["client"] for stage in report["stages"]])
    after = f"\n{note}" if note else ""
    if len(sides) < 2:
        return text(made) + after
    models = {side["name"]: side["model"] for side in report["sides"]}
    parts = [f"{side} ({models[side]})\n" + text([row for row in made if row["side"] == side]) for side in sides]
    return "\n\n".join(parts) + after


def text(stages: Sequence[Mapping[str, Any]]) -> str:
    """The whole table, numbers to the right."""
    lines_of = [HEADINGS, *(cells(stage) for stage in stages)]
    widths = [max(len(row[column]) for row in lines_of) for column in range(len(HEADINGS))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in lines_of]
    lines.insert(1, "  ".join("-" * width for width in widths))
    if not all(stage["complete"] for stage in stages):
        lines.append("* stopped before its end")
    return "\n".join(lines)
