"""Changes of a panel, in the JSON that Grafana gets."""

from grafana.panels import GOOD, REQUESTS, lines, stat, steps
from grafana.query import Query
from grafana.variations import by_meaning, on_the_right, whole

BOTH = (Query("up", "{{outcome}}"), Query("down", "leave"))


def overrides(panel: dict[str, object]) -> object:
    config = panel["fieldConfig"]
    assert isinstance(config, dict)
    return config["overrides"]


def test_a_name_of_the_legend_gets_the_colour_of_its_meaning() -> None:
    panel = by_meaning(lines("Outcomes", BOTH[:1], REQUESTS, "What.\nDo."), {"ok|fine": GOOD}).to_json(1, 0, 0)
    color = {"id": "color", "value": {"mode": "shades", "fixedColor": GOOD}}
    assert overrides(panel) == [{"matcher": {"id": "byRegexp", "options": "ok|fine"}, "properties": [color]}]


def test_another_unit_goes_to_the_right() -> None:
    panel = on_the_right(lines("Wait", BOTH, "s", "What.\nDo."), 1, "reqps").to_json(1, 0, 0)
    changed = [{"id": "unit", "value": "reqps"}, {"id": "custom.axisPlacement", "value": "right"}]
    found = overrides(panel)
    assert isinstance(found, list)
    assert found[-1] == {"matcher": {"id": "byFrameRefID", "options": "B"}, "properties": changed}


def test_what_comes_in_whole_numbers_has_no_decimals() -> None:
    panel = whole(stat("Keys", BOTH[0], "none", steps("blue"), "What.\nDo.")).to_json(1, 0, 0)
    assert panel["fieldConfig"]["defaults"]["decimals"] == 0
