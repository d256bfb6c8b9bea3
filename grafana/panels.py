"""How a panel looks. A function per kind of picture; it knows nothing of metrics and nothing of dashboards."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import Any

from grafana.queries import Query

Json = dict[str, Any]

DATASOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
TOKENS_PER_SECOND = "suffix: tok/s"

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
    options: Mapping[str, Any]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    overrides: tuple[Json, ...] = ()
    no_value: str = "No traffic"
    instant: bool = False

    def to_json(self, panel_id: int, x: int, y: int) -> Json:
        return {
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

    def _target(self, number: int, query: Query) -> Json:
        return {
            "refId": ascii_uppercase[number],
            "datasource": DATASOURCE,
            "expr": query.expr,
            "legendFormat": query.legend,
            "editorMode": "code",
            "instant": self.instant,
            "range": not self.instant,
        }


def steps(base: str, *changes: tuple[float, str]) -> Json:
    """Thresholds: `base` colour, then from each value on another one."""
    first: Json = {"color": base, "value": None}
    return {"mode": "absolute", "steps": [first, *({"color": color, "value": value} for value, color in changes)]}


def stat(
    title: str, query: Query, unit: str, thresholds: Json, description: str, no_value: str = "No traffic"
) -> Panel:
    """One number, now; its colour says whether it is good."""
    return Panel(
        kind="stat",
        title=title,
        description=description,
        queries=(query,),
        unit=unit,
        width=4,
        height=4,
        options={
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "value",
            "graphMode": "area",
            "justifyMode": "auto",
            "orientation": "auto",
            "textMode": "value",
            "wideLayout": True,
            "showPercentChange": False,
            "percentChangeColorMode": "standard",
        },
        defaults={"color": {"mode": "thresholds"}, "thresholds": thresholds},
        no_value=no_value,
    )


def _timeseries(
    title: str, queries: tuple[Query, ...], unit: str, description: str, width: int, custom: Json, **defaults: Any
) -> Panel:
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


def lines(title: str, queries: tuple[Query, ...], unit: str, description: str, width: int = 8) -> Panel:
    return _timeseries(title, queries, unit, description, width, {"fillOpacity": 0})


def stacked(title: str, queries: tuple[Query, ...], unit: str, description: str, width: int = 8) -> Panel:
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


def states(title: str, query: Query, names: Mapping[int, tuple[str, str]], description: str) -> Panel:
    """A band over time. `names`: value -> (text, colour)."""
    mapping = {str(value): {"text": text, "color": color, "index": value} for value, (text, color) in names.items()}
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
            "mappings": [{"type": "value", "options": mapping}],
        },
        no_value="No engine",
    )
