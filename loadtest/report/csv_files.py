"""stages.csv and requests.csv beside report.json: for spreadsheets. An empty cell is "not known"."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from common.printable import cell
from loadtest.analysis.points import METRICS, Point, points
from loadtest.report import document

_OF_POINT = ("side", "position", "label", "mode", "users", "repeats", "requests", "failures", "valid")
# The gaps of a request are a list; they stay in report.json.
_NOT_IN_CSV = "gaps_us"


def write(content: Mapping[str, Any], directory: Path) -> list[Path]:
    """Raises UsageProblem when a file cannot be written."""
    made = {"stages.csv": stages(content), "requests.csv": requests(content)}
    return [document.write(directory / name, text.encode()) for name, text in made.items()]


def stages(content: Mapping[str, Any]) -> str:
    """A row for each side and stage; every metric with the bounds of its 95 % interval."""
    metrics = [metric for metric in METRICS if metric != "failures"]
    head = [*_OF_POINT, *(name for metric in metrics for name in (metric, f"{metric}_low", f"{metric}_high"))]
    return _text(head, (_stage(point, metrics) for point in points(content)))


def _stage(point: Point, metrics: Sequence[str]) -> list[object]:
    row: list[object] = [point.side, point.position, point.label, point.mode, point.users, len(point.stages)]
    row += [point.requests, point.failures, point.valid]
    for metric in metrics:
        estimate = point.estimate(metric)
        row += [None] * 3 if estimate is None else [estimate.value, estimate.low, estimate.high]
    return row


def requests(content: Mapping[str, Any]) -> str:
    """A row for each request, as in report.json, without the single gaps."""
    columns = content["records"]["columns"]
    left_out = columns.index(_NOT_IN_CSV)
    sides = {stage["number"]: stage["side"] for stage in content["stages"]}
    head = ["side", *(name for name in columns if name != _NOT_IN_CSV)]
    rows = content["records"]["rows"]
    stage_at = columns.index("stage")
    return _text(head, ([sides.get(row[stage_at]), *row[:left_out], *row[left_out + 1 :]] for row in rows))


def _text(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([cell(value) for value in row] for row in rows)
    return stream.getvalue()
