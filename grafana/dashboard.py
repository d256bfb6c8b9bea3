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
    title: str
    panels: tuple[Panel, ...]


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
    panel_id, y = 1, 0
    for row in rows:
        yield _row_header(panel_id, row.title, y)
        panel_id, x, y, tallest = panel_id + 1, 0, y + 1, 0
        for panel in row.panels:
            if x + panel.width > GRID_WIDTH:
                x, y, tallest = 0, y + tallest, 0
            yield panel.to_json(panel_id, x, y)
            panel_id, x, tallest = panel_id + 1, x + panel.width, max(tallest, panel.height)
        y += tallest


def _row_header(panel_id: int, title: str, y: int) -> Json:
    place = {"x": 0, "y": y, "w": GRID_WIDTH, "h": 1}
    return {"id": panel_id, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}


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
