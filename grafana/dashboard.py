"""A dashboard: rows of panels, laid out from left to right, so that panels cannot overlap."""

from collections.abc import Iterator
from dataclasses import dataclass

from grafana.panels import DATASOURCE, NOTICE, Json, Panel
from grafana.queries import common

GRID_WIDTH = 24
SCHEMA_VERSION = 39  # read by Grafana 10.4 and newer; the classic model is what file provisioning takes
TAG = "fullbatch"


@dataclass(frozen=True)
class Row:
    """`collapsed`: its panels are there after a click on its title."""

    title: str
    panels: tuple[Panel, ...]
    collapsed: bool = False


@dataclass(frozen=True)
class Dashboard:
    """`uid` is its address and the name of its generated file; links to it break when it changes."""

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]
    refresh: str = "10s"
    time_from: str = "now-30m"

    def panels(self) -> Iterator[Panel]:
        for row in self.rows:
            yield from row.panels

    def to_json(self) -> Json:
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": [TAG],
            "schemaVersion": SCHEMA_VERSION,
            "editable": False,
            "graphTooltip": 1,
            "refresh": self.refresh,
            "time": {"from": self.time_from, "to": "now"},
            "timezone": "browser",
            "templating": {"list": [_datasource_variable(), _deployment_variable(), _model_variable()]},
            "annotations": {"list": [_engine_starts(), _load_test_stages()]},
            "links": [_links_to_the_others()],
            "panels": list(_placed(self.rows)),
        }


def _placed(rows: tuple[Row, ...]) -> Iterator[Json]:
    """In the order of the screen. What a collapsed row hides lies in it, at the places that it takes when it opens."""
    panel_id, y = 1, 0
    for row in rows:
        inside = _side_by_side(row.panels, panel_id + 1, y + 1)
        yield _row_header(panel_id, row, y, inside if row.collapsed else [])
        panel_id, y = panel_id + 1 + len(inside), y + 1
        if not row.collapsed:
            yield from inside
            y = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in inside)


def _side_by_side(panels: tuple[Panel, ...], panel_id: int, y: int) -> list[Json]:
    placed, x, tallest = [], 0, 0
    for number, panel in enumerate(panels):
        if x + panel.width > GRID_WIDTH:
            x, y, tallest = 0, y + tallest, 0
        placed.append(panel.to_json(panel_id + number, x, y))
        x, tallest = x + panel.width, max(tallest, panel.height)
    return placed


def _row_header(panel_id: int, row: Row, y: int, inside: list[Json]) -> Json:
    place = {"x": 0, "y": y, "w": GRID_WIDTH, "h": 1}
    said: Json = {"title": row.title, "collapsed": row.collapsed, "gridPos": place}
    return {"id": panel_id, "type": "row", **said, "panels": inside}


def _datasource_variable() -> Json:
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "current": {"text": "Prometheus", "value": "prometheus"},
        "includeAll": False,
        "multi": False,
    }


def _deployment_variable() -> Json:
    return {
        "name": "deployment",
        "label": "Deployment",
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": common.DEPLOYMENTS, "refId": "deployment"},
        "refresh": 2,  # on every change of the time range: a deployment of last week is found too
        "sort": 1,
        "includeAll": False,
        "multi": False,
    }


def _model_variable() -> Json:
    return {
        "name": "model",
        "label": "Model",
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": common.MODELS, "refId": "model"},
        "refresh": 2,
        "sort": 1,
        "includeAll": True,
        "allValue": ".*",  # also what was answered before a model's name was known
        "multi": True,
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _engine_starts() -> Json:
    return {
        "name": "Engine starts",
        "datasource": DATASOURCE,
        "enable": True,
        "iconColor": NOTICE,
        "target": {"refId": "starts", "expr": common.ENGINE_STARTS},
        "titleFormat": "Engine started",
        "textFormat": "{{instance}}",
    }


def _load_test_stages() -> Json:
    """A line where each stage began; the series' value is that moment, in milliseconds as Grafana wants it."""
    return {
        "name": "Load test stages",
        "datasource": DATASOURCE,
        "enable": True,
        "iconColor": "purple",
        "target": {"refId": "stages", "expr": common.STAGE_STARTS},
        "useValueForTime": True,
        "titleFormat": "{{users}} users",
        "textFormat": "load test {{run}}, stage {{stage}}",
    }


def _links_to_the_others() -> Json:
    return {
        "title": "Dashboards",
        "type": "dashboards",
        "icon": "apps",
        "tooltip": "The other dashboards, same time and deployment",
        "tags": [TAG],
        "asDropdown": False,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
    }
