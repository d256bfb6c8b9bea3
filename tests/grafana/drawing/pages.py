"""Dashboards as pages: the generated JSON, what a Prometheus answers to it, and Grafana's own components.

With PICTURES=FOLDER each is photographed too; that is how those of docs/images were made.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.browser import Page, chromium
from tests.prometheus.live import ROOT, Prometheus
from tests.prometheus.promql import substituted

BUNDLE = ROOT / ".fullbatch" / "drawing"
GENERATED = ROOT / "grafana" / "generated"
BOARDS: dict[str, Any] = {path.stem: json.loads(path.read_text()) for path in sorted(GENERATED.glob("*.json"))}
WIDTH = 1440
_GRID_PIXELS, _TOP_PIXELS = 38, 90

Json = dict[str, Any]


@dataclass(frozen=True)
class Span:
    """From when to when, in seconds since 1970, asked for every `step` of them. ``scrape``: seconds between scrapes."""

    begin: float
    end: float
    step: int = 1
    scrape: int = 1

    @property
    def rate_interval(self) -> str:
        """As Grafana has it: four scrapes at least, and never less than a step and a scrape."""
        return f"{max(self.step + self.scrape, 4 * self.scrape)}s"


@dataclass(frozen=True)
class Drawn:
    """One panel as it came out, beside what it was made of. ``found``: for each target what Prometheus answered."""

    panel: Json
    found: list[list[Json]]
    text: str
    empty: bool
    axis: list[str] = field(default_factory=list)
    dashed: list[str] = field(default_factory=list)
    legend: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    cells: int = 0
    colors: list[str] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)


@contextmanager
def browser() -> Iterator[Page]:
    """One whose pages may read files, as Grafana's icons are."""
    with chromium("--allow-file-access-from-files") as tab:
        yield tab


def install() -> None:
    """Does nothing where it is; a skip where it cannot be had, and in CI a skip is a failure."""
    ran = subprocess.run([ROOT / "scripts" / "test-clients", "drawing"], capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        pytest.skip(ran.stderr.strip())


def panels(board: Json) -> list[Json]:
    """All but rows, also those that a collapsed row hides."""
    inside = [panel for row in board["panels"] for panel in row.get("panels", [])]
    return [panel for panel in [*board["panels"], *inside] if panel["type"] != "row"]


def opened(board: Json) -> Json:
    """The same with every row open, as it looks after a click on each."""
    places: list[Json] = []
    down = 0
    for panel in board["panels"]:
        places.append(_lower(panel, down) | ({"collapsed": False, "panels": []} if panel["type"] == "row" else {}))
        hidden = panel.get("panels", [])
        places += [_lower(one, down) for one in hidden]
        if hidden:
            bottom = max(one["gridPos"]["y"] + one["gridPos"]["h"] for one in hidden)
            down += bottom - panel["gridPos"]["y"] - 1
    return board | {"panels": places}


def _lower(panel: Json, down: int) -> Json:
    return panel | {"gridPos": panel["gridPos"] | {"y": panel["gridPos"]["y"] + down}}


def answers(prometheus: Prometheus, board: Json, deployment: str, span: Span) -> dict[int, list[list[Json]]]:
    """By panel, for each of its targets, what Prometheus says."""
    return {
        panel["id"]: [_asked(prometheus, target, deployment, span) for target in panel["targets"]]
        for panel in panels(board)
    }


def _asked(prometheus: Prometheus, target: Json, deployment: str, span: Span) -> list[Json]:
    query = substituted(target["expr"], deployment, span.rate_interval)
    if target["instant"]:
        found = prometheus.get("query", query=query, time=str(span.end))
    else:
        found = prometheus.get(
            "query_range", query=query, start=str(span.begin), end=str(span.end), step=str(span.step)
        )
    result: list[Json] = found["result"]
    return result


def draw(tab: Page, folder: Path, board: Json, found: dict[int, list[list[Json]]], span: Span) -> list[Drawn]:
    """Each panel of the board that is not hidden, in the order of the board. The page stays open in the tab."""
    asked = {"from": span.begin, "to": span.end, "step": span.step}
    given = {"dashboard": board, "answers": found, "span": asked, "dark": True, "width": WIDTH}
    (folder / "given.js").write_text(f"window.GIVEN = {json.dumps(given)};")
    page = folder / f"{board['uid']}.html"
    page.write_text(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>A dashboard</title>'
        f'<link rel="stylesheet" href="{(BUNDLE / "page.css").as_uri()}">'
        f'<body><div id="root"></div><script>window.__grafana_public_path__ = "{BUNDLE.as_uri()}/"</script>'
        '<script src="given.js"></script>'
        f'<script src="{(BUNDLE / "page.js").as_uri()}"></script></body></html>'
    )
    bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"])
    tab.shape(WIDTH, bottom * _GRID_PIXELS + _TOP_PIXELS, dark=True)
    tab.open(page.as_uri())
    shown = [panel for panel in board["panels"] if panel["type"] != "row"]
    tab.until(f"window.drawn && Object.values(window.drawn()).filter(one => one.text).length >= {len(shown)}")
    tab.ask("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 300))))")
    if folder_of_pictures := os.environ.get("PICTURES"):
        tab.picture(Path(folder_of_pictures) / f"dashboard-{board['uid']}.png")
    seen = tab.ask("window.drawn()")
    return [Drawn(panel, found[panel["id"]], **seen[str(panel["id"])]) for panel in shown]
