"""The generated JSON against Grafana's own published schema, as the classes of grafana-foundation-sdk hold it (11.6).

Read into those classes and written again, a dashboard loses what the schema does not know.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

FILES = sorted((Path(__file__).parents[2] / "grafana" / "generated").glob("*.json"))

# The schema leaves an annotation's query to its data source. These are the Prometheus data source's own
# (PrometheusAnnotationSupport): the query, and how a series becomes an event.
ANNOTATION_OF_PROMETHEUS = {"target.refId", "target.expr", "titleFormat", "textFormat", "useValueForTime"}


@pytest.fixture(scope="module", autouse=True)
def panel_types() -> None:
    register_default_plugins()


def lost(board: dict[str, Any]) -> set[str]:
    kept = json.loads(json.dumps(Dashboard.from_json(copy.deepcopy(board)), cls=JSONEncoder))
    return set(_differences(board, kept, ""))


def _differences(before: Any, after: Any, path: str) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            yield from _differences(value, after[key], f"{path}.{key}") if key in after else [f"{path}.{key}"]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _differences(one, other, f"{path}[{number}]")
    elif before != after:
        yield path


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_grafanas_schema_knows_everything_that_is_written(path: Path) -> None:
    known = {f".annotations.list[{n}].{key}" for n in range(2) for key in ANNOTATION_OF_PROMETHEUS}
    assert lost(json.loads(path.read_text())) - known == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_unit_is_one_that_grafana_has(path: Path) -> None:
    known = {value for value in vars(units).values() if isinstance(value, str)}
    used = {
        panel["fieldConfig"]["defaults"]["unit"]
        for panel in json.loads(path.read_text())["panels"]
        if panel["type"] != "row"
    }
    assert {unit for unit in used if not unit.startswith("suffix:")} - known == set()


def test_a_key_that_grafana_does_not_know_is_noticed() -> None:
    board = json.loads(FILES[0].read_text())
    panel = next(panel for panel in board["panels"] if panel["type"] == "timeseries")
    panel["fieldConfig"]["defaults"]["custom"]["lineWidht"] = 2
    panel["options"]["legnd"] = {}
    panel["gridPos"]["z"] = 1
    assert {place.rpartition(".")[2] for place in lost(board)} >= {"lineWidht", "legnd", "z"}
