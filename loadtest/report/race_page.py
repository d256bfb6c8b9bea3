"""race.html from race.json, which a tuning race writes (`fullbatch tune`): one file, nothing fetched, no script."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from common.printable import one_line
from loadtest.core.errors import UsageProblem
from loadtest.report import document, text_table
from loadtest.report.html_page import geometry
from loadtest.report.svg_charts import Axes, Chart, Series, by_category, over_range

FILE = "race.json"
SCHEMA = "fullbatch.race/1"
_TEMPLATES = Path(__file__).parent / "templates"
_STYLES = 6
# Arms that a chart of lines has room for, the plan among them.
_MOST_LINES = 6
_PLAN = "plan"


def is_race(directory: Path) -> bool:
    return directory.is_dir() and (directory / FILE).exists() and not (directory / "report.json").exists()


def write(directory: Path) -> Path:
    """UsageProblem, in one line, where race.json is none or damaged."""
    content = _read(directory / FILE)
    with document.of_reports(directory / FILE):
        page = render(content)
    return document.write(directory / "race.html", page.encode())


def _read(path: Path) -> Mapping[str, Any]:
    try:
        content = orjson.loads(path.read_bytes())
    except OSError as error:
        raise UsageProblem(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageProblem(f"{path}: not JSON: {one_line(str(error))}; race again") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise UsageProblem(f"{path}: not a race that can be read, only '{SCHEMA}' can; race again")
    return content


def render(race: Mapping[str, Any]) -> str:
    """The page. `race` is what race.json holds."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"number": text_table.number, "gain": gain}
    tone = {"better": "good", "the plan is fine": "good"}.get(race["verdict"]["word"], "doubt")
    return environment.get_template("race.html.j2").render(
        race=race, tone=tone, charts=[drawn(race), gains(race)], geometry=geometry(), interval=interval
    )


def gain(log: float | None) -> str:
    """A log ratio in percent of the plan: +12.3 %."""
    return text_table.DASH if log is None else f"{(math.exp(log) - 1) * 100:+.1f} %"


def interval(one: Mapping[str, Any] | None) -> str:
    """Both ends; a dash where they are not known."""
    if not one or one["low"] is None:
        return text_table.DASH
    return f"{gain(one['low'])} to {gain(one['high'])}"


def drawn(race: Mapping[str, Any]) -> Chart:
    """Every boot as it came: the plan and the arms that ran longest."""
    boots: dict[str, list[Mapping[str, Any]]] = {}
    for boot in race["boots"]:
        if boot["kind"] != "hold-out":
            boots.setdefault(boot["arm"], []).append(boot)
    longest = sorted(boots, key=lambda arm: (arm != _PLAN, -len(boots[arm])))[:_MOST_LINES]
    others = [boot for arm in boots if arm not in longest for boot in boots[arm]]
    series = [
        Series(arm, [(boot["at_s"] / 60, boot["value"]) for boot in boots[arm]], number % _STYLES, dashed=arm != _PLAN)
        for number, arm in enumerate(longest)
    ]
    more = f" (not drawn: {len(others)}, see the table)" if others else ""
    axes = Axes(f"The race: a dot is a boot{more}", "minutes", race["unit"], race["unit"], "min", "no boot")
    return over_range(axes, series)


def gains(race: Mapping[str, Any]) -> Chart:
    """Each arm in percent of the plan, with its interval where it is known."""
    arms = [arm for arm in race["arms"] if arm["gain"]]
    points: list[tuple[float, float | None]] = []
    bars: list[tuple[float, float, float]] = []
    for number, arm in enumerate(arms):
        # Nothing lies between two arms: no line from one to the next.
        points += [(number, _percent(arm["gain"]["mean"])), (number, None)]
        if arm["gain"]["low"] is not None:
            bars.append((number, _percent(arm["gain"]["low"]), _percent(arm["gain"]["high"])))
    plan = [(0.0, 100.0), (float(len(arms) - 1), 100.0)] if arms else []
    series = [
        Series("the plan", plan, 0, dots=False),
        Series("arms", points, 1, bars=bars),
    ]
    axes = Axes("Each arm, the plan is 100", "arm", "% of the plan", "%", "", "no arm has a boot")
    return by_category(axes, [str(number + 1) for number in range(len(arms))], series if arms else [])


def _percent(log: float) -> float:
    return 100 * math.exp(log)
