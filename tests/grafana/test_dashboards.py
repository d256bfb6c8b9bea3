"""The generated JSON against the rules of Grafana's dashboard linter, its grid, and our own."""

import json
import re
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import promql_parser
import pytest

from tests.prometheus.promql import rules, substituted

FILES = sorted((Path(__file__).parents[2] / "grafana" / "generated").glob("*.json"))
BOARDS: dict[str, Any] = {path.stem: json.loads(path.read_text()) for path in FILES}
PANELS = [
    pytest.param(panel, id=f"{uid}-{panel['title']}")
    for uid, board in BOARDS.items()
    for panel in (one for place in board["panels"] for one in (place, *place.get("panels", [])))
    if panel["type"] != "row"
]

# Ids that Grafana knows; anything else would be printed behind the number as it is.
UNITS = {
    *(
        "none",
        "short",
        "s",
        "percentunit",
        "reqps",
        "suffix:tok/s",
        "suffix:k",
        "bytes",
        "Bps",
        "watt",
        "celsius",
        "hertz",
        "kwatth",
    ),
}
COMMON_KEYS = {"id", "type", "title", "description", "datasource", "gridPos", "fieldConfig", "options", "targets"}
OPTIONS = {
    "stat": {
        *("reduceOptions", "colorMode", "graphMode", "justifyMode", "orientation", "textMode", "wideLayout"),
        *("showPercentChange", "percentChangeColorMode", "text"),
    },
    "timeseries": {"legend", "tooltip"},
    "state-timeline": {"showValue", "mergeValues", "rowHeight", "alignValue", "legend", "tooltip"},
    "heatmap": {
        *("calculate", "cellGap", "color", "exemplars", "filterValues", "legend", "rowsFrame", "tooltip", "yAxis"),
    },
    "table": {"showHeader", "cellHeight"},
}
CUSTOM = {
    "stat": set[str](),
    "timeseries": {"lineWidth", "showPoints", "fillOpacity", "stacking", "axisSoftMax", "thresholdsStyle", "axisLabel"},
    "state-timeline": {"fillOpacity", "lineWidth"},
    "heatmap": set[str](),
    "table": {"align"},
}
DEFAULTS = {"decimals", "unit", "noValue", "min", "color", "custom", "thresholds", "mappings"}
COUNTER = re.compile(r"_(total|sum|count|bucket)$")


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_dashboard_can_be_provisioned(board: dict[str, Any]) -> None:
    assert 39 <= board["schemaVersion"] <= 41
    assert board["editable"] is False
    assert re.fullmatch(r"[a-z0-9-]{1,40}", board["uid"])
    assert board["title"] and board["description"] and board["tags"]
    assert "id" not in board, "Grafana numbers dashboards itself"


def test_uids_and_titles_are_unique() -> None:
    assert len({board["title"] for board in BOARDS.values()}) == len(BOARDS)
    assert [board["uid"] for board in BOARDS.values()] == list(BOARDS)


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_variables_are_data_source_deployment_and_model(board: dict[str, Any]) -> None:
    datasource, deployment, model = board["templating"]["list"]
    assert (datasource["name"], datasource["type"], datasource["query"]) == ("datasource", "datasource", "prometheus")
    assert (deployment["name"], deployment["multi"]) == ("deployment", False)
    assert (model["name"], model["includeAll"], model["allValue"]) == ("model", True, ".*")
    for variable in (deployment, model):
        assert variable["datasource"]["uid"] == "${datasource}"
        assert variable["refresh"] == 2, "read anew when the time range changes"
        selector = re.fullmatch(r"label_values\((.+), \w+\)", variable["query"]["query"])
        assert selector and promql_parser.parse(substituted(selector[1]))


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_panel_ids_are_unique(board: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids) and min(ids) > 0


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_panels_fill_the_grid_without_overlap(board: dict[str, Any]) -> None:
    places = [(panel["title"], panel["gridPos"]) for panel in board["panels"]]
    for title, place in places:
        assert place["x"] >= 0 and place["w"] > 0 and place["h"] > 0 and place["x"] + place["w"] <= 24, title
    for (one, a), (other, b) in combinations(places, 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        above = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert beside or above, f"{one} lies on {other}"
    bottom = max(place["y"] + place["h"] for _, place in places)
    assert sum(place["w"] * place["h"] for _, place in places) == 24 * bottom, "a hole in the grid"


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_dashboard_fits_two_screens(board: dict[str, Any]) -> None:
    """A 1080p screen shows about 24 cells of 38 pixels below Grafana's own bars."""
    assert max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"]) <= 48


@pytest.mark.parametrize("panel", PANELS)
def test_panel_has_only_keys_that_grafana_reads(panel: dict[str, Any]) -> None:
    """Grafana ignores a misspelt key in silence."""
    assert panel.keys() == COMMON_KEYS | ({"transformations"} if panel["type"] == "table" else set())
    assert panel["options"].keys() <= OPTIONS[panel["type"]]
    assert panel["fieldConfig"]["defaults"].keys() <= DEFAULTS
    assert panel["fieldConfig"]["defaults"].get("custom", {}).keys() <= CUSTOM[panel["type"]]


@pytest.mark.parametrize("panel", PANELS)
def test_panel_reads_well(panel: dict[str, Any]) -> None:
    assert 0 < len(panel["title"]) <= 40
    shows, _, advice = panel["description"].partition("\n")
    assert len(shows) > 20 and len(advice) > 20, "what it shows, a line break, what to do when it looks bad"
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    assert panel["fieldConfig"]["defaults"]["noValue"]
    assert len({target["legendFormat"] for target in panel["targets"]}) == len(panel["targets"])
    assert all(target["legendFormat"] for target in panel["targets"])


@pytest.mark.parametrize("panel", PANELS)
def test_panel_asks_the_chosen_data_source(panel: dict[str, Any]) -> None:
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    assert panel["datasource"] == chosen
    assert [target["datasource"] for target in panel["targets"]] == [chosen] * len(panel["targets"])
    assert [target["refId"] for target in panel["targets"]] == list("ABCDEFGH"[: len(panel["targets"])])


@pytest.mark.parametrize("panel", PANELS)
def test_colours_belong_to_queries_that_exist(panel: dict[str, Any]) -> None:
    matchers = [override["matcher"] for override in panel["fieldConfig"]["overrides"]]
    matched = {one["options"] for one in matchers if one["id"] == "byFrameRefID"}
    assert matched <= {target["refId"] for target in panel["targets"]}


@pytest.mark.parametrize("panel", PANELS)
def test_counters_are_drawn_as_rates_over_the_interval_of_the_zoom(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        assert not re.search(r"\[(?!\$__(?:rate_interval|range)\])", target["expr"]), f"fixed window: {target['expr']}"
        bare = bare_counters(substituted(target["expr"]))
        assert bare == [], f"a counter without rate(): {target['expr']}"


@pytest.mark.parametrize("panel", PANELS)
def test_runbook_headings_named_in_descriptions_exist(panel: dict[str, Any]) -> None:
    named = re.findall(r"runbook (\w+)", panel["description"])
    assert set(named) <= rules("alert").keys()


def bare_counters(expr: str) -> list[str]:
    """Counters that are not the direct argument of rate(), irate() or increase()."""
    all_of_them, rated = Counter[str](), Counter[str]()

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector) and COUNTER.search(node.name or ""):
            all_of_them[node.name or ""] += 1
        if isinstance(node, promql_parser.Call) and node.func.name in {"rate", "irate", "increase"}:
            rated.update(re.findall(r"^[\w:]+", node.args[0].prettify()))

    promql_parser.walk(promql_parser.parse(expr), visit)
    return list((all_of_them - rated).elements())


def test_a_counter_without_rate_is_noticed() -> None:
    assert bare_counters("rate(a_total[5m]) / b_total") == ["b_total"]
    assert bare_counters("max_over_time(a_total[5m])") == ["a_total"]
    assert bare_counters("histogram_quantile(0.5, sum by (le) (rate(a_bucket[5m])))") == []
