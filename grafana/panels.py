"""Panels: one function for each kind of picture. It knows no metrics and no dashboards."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from string import ascii_uppercase
from typing import Any

from grafana.query import Query

Json = dict[str, Any]

DATASOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
TOKENS_PER_SECOND = "suffix:tok/s"


@dataclass(frozen=True)
class Count:
    """In a unit's place: how many of what. The axis says it."""

    of: str


REQUESTS, TOKENS = Count("requests"), Count("tokens")

# One colour per meaning, on every panel of every dashboard.
GOOD, NOTICE, BAD, IDLE = "green", "orange", "red", "#6e7687"
LINES = ("blue", "orange", "purple", "green", "yellow")


@dataclass(frozen=True)
class Panel:
    """A panel without a place: the dashboard gives it id and position.

    `description` is what it shows, a line break, and what to do when it looks bad. Sizes are cells of Grafana's grid,
    24 wide.
    """

    kind: str
    title: str
    description: str
    queries: tuple[Query, ...]
    unit: str
    width: int
    height: int
    options: Json
    defaults: Json = field(default_factory=dict)
    overrides: tuple[Json, ...] = ()
    no_value: str = "No traffic"
    instant: bool = False
    format: str = "time_series"
    transformations: tuple[Json, ...] = ()

    def to_json(self, panel_id: int, x: int, y: int) -> Json:
        shown: Json = {
            "id": panel_id,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": DATASOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "fieldConfig": {
                "defaults": {"unit": self.unit, "noValue": self.no_value, **self.defaults},
                "overrides": list(self.overrides),
            },
            "options": dict(self.options),
            "targets": [self._target(number, query) for number, query in enumerate(self.queries)],
        }
        return shown | ({"transformations": list(self.transformations)} if self.transformations else {})

    def _target(self, number: int, query: Query) -> Json:
        return {
            "refId": ascii_uppercase[number],
            "datasource": DATASOURCE,
            "expr": query.expr,
            "legendFormat": query.legend,
            "editorMode": "code",
            "format": self.format,
            "instant": self.instant,
            "range": not self.instant,
        }


def steps(base: str, *changes: tuple[float, str]) -> Json:
    """Thresholds: `base` colour, then from each value on another one."""
    first: Json = {"color": base, "value": None}
    return {"mode": "absolute", "steps": [first, *({"color": color, "value": value} for value, color in changes)]}


def stat(title: str, query: Query, unit: str, thresholds: Json, description: str) -> Panel:
    """One number, now; its colour says whether it is good."""
    return Panel(
        kind="stat",
        title=title,
        description=description,
        queries=(query,),
        unit=unit,
        width=4,
        height=4,
        options=_STAT | {"graphMode": "area", "textMode": "value"},
        defaults={"color": {"mode": "thresholds"}, "thresholds": thresholds},
    )


_STAT: Json = {
    "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    "colorMode": "value",
    "justifyMode": "auto",
    "orientation": "auto",
    "wideLayout": True,
    "showPercentChange": False,
    "percentChangeColorMode": "standard",
}


def out_of(title: str, query: Query, unit: str, description: str) -> Panel:
    """A number below what it is out of: "64 slots, in use:" and 38. Only now: an old whole is no second one."""
    panel = stat(title, query, unit, steps("blue"), description)
    options = panel.options | {
        "graphMode": "none",
        "textMode": "value_and_name",
        "justifyMode": "center",
        "wideLayout": False,
    }
    return replace(panel, options=options, instant=True)


def advice(title: str, query: Query, names: Mapping[int, tuple[str, str]], description: str) -> Panel:
    """A sentence that depends on a number. `names`: value -> (sentence, colour)."""
    panel = stat(title, query, "none", steps(IDLE), description)
    options = panel.options | {"graphMode": "none", "colorMode": "background", "text": {"valueSize": 24}}
    return replace(panel, options=options, defaults=panel.defaults | {"mappings": _mappings(names)}, instant=True)


def _mappings(names: Mapping[int, tuple[str, str]]) -> list[Json]:
    shown = {str(value): {"text": text, "color": color, "index": value} for value, (text, color) in names.items()}
    return [{"type": "value", "options": shown}]


def _timeseries(
    title: str,
    queries: tuple[Query, ...],
    unit: str | Count,
    description: str,
    width: int,
    custom: Json,
    **defaults: Any,
) -> Panel:
    if isinstance(unit, Count):
        custom = {**custom, "axisLabel": unit.of}
        unit = "short"
    legend = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
    return Panel(
        kind="timeseries",
        title=title,
        description=description,
        queries=queries,
        unit=unit,
        width=width,
        height=8,
        options={"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}},
        defaults={
            "min": 0,
            "color": {"mode": "palette-classic"},
            "custom": {"lineWidth": 2, "showPoints": "never", **custom},
            **defaults,
        },
        overrides=tuple(_fixed_color(number) for number, query in enumerate(queries) if "{{" not in query.legend),
    )


def _fixed_color(number: int) -> Json:
    color = {"mode": "fixed", "fixedColor": LINES[number % len(LINES)]}
    return {
        "matcher": {"id": "byFrameRefID", "options": ascii_uppercase[number]},
        "properties": [{"id": "color", "value": color}],
    }


def lines(title: str, queries: tuple[Query, ...], unit: str | Count, description: str, width: int = 8) -> Panel:
    return _timeseries(title, queries, unit, description, width, {"fillOpacity": 0})


def stacked(title: str, queries: tuple[Query, ...], unit: str | Count, description: str, width: int = 8) -> Panel:
    """Parts of a whole: only for values that may be added, such as means or rates."""
    custom: Json = {"fillOpacity": 40, "stacking": {"mode": "normal", "group": "A"}}
    return _timeseries(title, queries, unit, description, width, custom)


def share(
    title: str, queries: tuple[Query, ...], limit: float, description: str, width: int = 8, color: str = NOTICE
) -> Panel:
    """Fractions of 1 with a dashed line at `limit`."""
    custom: Json = {"fillOpacity": 10, "axisSoftMax": 1, "thresholdsStyle": {"mode": "dashed"}}
    thresholds = steps("transparent", (limit, color))
    return _timeseries(title, queries, "percentunit", description, width, custom, thresholds=thresholds)


def promise(title: str, queries: tuple[Query, ...], unit: str | Count, limit: float, description: str) -> Panel:
    """Lines with a dashed one at `limit`, which is always in sight: above it a promise is broken."""
    custom: Json = {"fillOpacity": 0, "axisSoftMax": limit * 1.1, "thresholdsStyle": {"mode": "dashed"}}
    thresholds = steps("transparent", (limit, BAD))
    return _timeseries(title, queries, unit, description, 8, custom, thresholds=thresholds)


def states(title: str, query: Query, names: Mapping[int, tuple[str, str]], description: str) -> Panel:
    """A band over time. `names`: value -> (text, colour)."""
    return Panel(
        kind="state-timeline",
        title=title,
        description=description,
        queries=(query,),
        unit="none",
        width=24,
        height=4,
        options={
            "showValue": "auto",
            "mergeValues": True,
            "rowHeight": 0.9,
            "alignValue": "left",
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
            "tooltip": {"mode": "single", "sort": "none"},
        },
        defaults={
            "color": {"mode": "fixed", "fixedColor": IDLE},
            "custom": {"fillOpacity": 75, "lineWidth": 0},
            "mappings": _mappings(names),
        },
        no_value="No engine",
    )


def heatmap(title: str, query: Query, unit: str, description: str) -> Panel:
    """How values spread over a histogram's buckets, over time. `unit` is that of the buckets."""
    return Panel(
        kind="heatmap",
        title=title,
        description=description,
        queries=(query,),
        unit="short",
        width=8,
        height=8,
        options={
            "calculate": False,
            "cellGap": 1,
            "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64, "exponent": 0.5, "fill": "dark-orange"},
            "exemplars": {"color": "rgba(255,0,255,0.7)"},
            "filterValues": {"le": 1e-9},
            "legend": {"show": False},
            "rowsFrame": {"layout": "auto"},
            "tooltip": {"mode": "single", "yHistogram": False, "showColorScale": False},
            "yAxis": {"axisPlacement": "left", "unit": unit, "reverse": False},
        },
        format="heatmap",
    )


def labels_table(title: str, query: Query, columns: Mapping[str, str], description: str) -> Panel:
    """A series' labels as a table. `columns`: label -> heading, in this order; the rest is left out."""
    keep = {"id": "filterFieldsByName", "options": {"include": {"names": list(columns)}}}
    order = {name: number for number, name in enumerate(columns)}
    name_them = {
        "id": "organize",
        "options": {"indexByName": order, "renameByName": dict(columns), "excludeByName": {}},
    }
    return Panel(
        kind="table",
        title=title,
        description=description,
        queries=(query,),
        unit="none",
        width=24,
        height=4,
        options={"showHeader": True, "cellHeight": "sm"},
        defaults={"custom": {"align": "left"}},
        no_value="No engine",
        instant=True,
        format="table",
        transformations=(keep, name_them),
    )
