"""What a panel is changed to where it stands: colours by meaning, a second axis, whole numbers. It knows no metrics."""

from collections.abc import Mapping
from dataclasses import replace
from string import ascii_uppercase

from grafana.panels import Panel


def by_meaning(panel: Panel, colors: Mapping[str, str]) -> Panel:
    """`colors`: pattern of a whole name in the legend -> its colour; several names of one pattern get shades of it."""
    overrides = [
        {
            "matcher": {"id": "byRegexp", "options": pattern},
            "properties": [{"id": "color", "value": {"mode": "shades", "fixedColor": color}}],
        }
        for pattern, color in colors.items()
    ]
    return replace(panel, overrides=(*panel.overrides, *overrides))


def on_the_right(panel: Panel, number: int, unit: str) -> Panel:
    """The panel's query of that number, from 0, has a unit of its own, and the axis on the right."""
    override = {
        "matcher": {"id": "byFrameRefID", "options": ascii_uppercase[number]},
        "properties": [{"id": "unit", "value": unit}, {"id": "custom.axisPlacement", "value": "right"}],
    }
    return replace(panel, overrides=(*panel.overrides, override))


def whole(panel: Panel) -> Panel:
    """Of things that come in whole numbers: what Prometheus makes up between two scrapes is not shown."""
    return replace(panel, defaults=panel.defaults | {"decimals": 0})
