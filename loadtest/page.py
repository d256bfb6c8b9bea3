"""report.html from the report's data: one file, nothing fetched."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from loadtest import charts, report, table
from loadtest.figures import figures

_TEMPLATES = Path(__file__).parent / "templates"
_MAX_FAILURE_EXAMPLES = 3


def render(content: Mapping[str, Any]) -> str:
    """The page. `content` is what report.json holds."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {
        "ms": table.milliseconds,
        "memory": table.memory,
        "share": table.share,
        "number": table.number,
        "plain": _plain,
    }
    page = environment.get_template("report.html.j2")
    return page.render(
        report=content,
        headings=table.HEADINGS,
        rows=[table.cells(stage) for stage in content["stages"]],
        figures=figures(content),
        failures=_failures(content),
        geometry={
            "width": charts.WIDTH,
            "height": charts.HEIGHT,
            "left": charts.LEFT,
            "right": charts.WIDTH - charts.RIGHT,
            "top": charts.TOP,
            "bottom": charts.HEIGHT - charts.BOTTOM,
        },
    )


def write(content: Mapping[str, Any], directory: Path) -> Path:
    return report.write(directory / "report.html", render(content).encode())


def _plain(value: object) -> str:
    """A value of the meta as text a person reads."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple) and all(isinstance(part, str | int | float) for part in value):
        return " ".join(str(part) for part in value) or table.DASH
    return table.DASH if value is None else json.dumps(value, ensure_ascii=False)


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
            found.append({"users": stage["users"], "class": name, "count": count, "examples": examples})
    return found
