"""The five dashboards as Grafana's own components draw them from a real Prometheus, in Chromium: no panel is empty, and
units, thresholds, colours and legends are what the panel asks for."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import Page
from tests.grafana.drawing.pages import BOARDS, Drawn, Json, Span, answers, browser, draw, install, opened, panels
from tests.prometheus.exposition import CARDS, DRAFTING, ENGINE, GATEWAY, LOADTEST, NODE, TURNS
from tests.prometheus.live import DEPLOYMENT, ROOT, Prometheus, install_tools, running, targets

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(not shutil.which("chromium"), reason="Chromium is not installed (Debian's package: chromium)"),
]

PAGES = {
    "/vllm": (ENGINE, DRAFTING), "/loadtest": (LOADTEST,), "/node": (NODE,), "/gpu": (CARDS,),
}  # fmt: skip
# What stands on an axis or behind a number, by the unit's id; the plain ones have nothing.
SAID = {
    "s": r"(ns|µs|ms|s|mins?|hours?|days?|weeks?|years?)$",
    "percentunit": r"%$",
    "reqps": r"req/s$",
    "suffix:tok/s": r"tok/s$",
    "suffix:k": r"k$",
    "bytes": r"(B|[KMGT]iB)$",
    "Bps": r"(B|[kKMG]i?B)/s$",
    "watt": r"W$",
    "celsius": r"°C$",
    "hertz": r"Hz$",
    "kwatth": r"Wh$",
    "short": r"^-?[\d.]+( (K|Mil|Bil))?$",
    "none": r"^-?[\d.]+$",
}
CLOCK = re.compile(r"^\d\d:\d\d(:\d\d)?$")
HISTORY_S = 8.0  # a rate needs four scrapes, and a line more than one point


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[Drawn]]]:
    """All dashboards, every row open."""
    install()
    folder = tmp_path_factory.mktemp("drawing")
    here = folder / "turns.txt"
    here.write_text(TURNS.read_text().replace("cpu-turns", DEPLOYMENT))
    pages = PAGES | {"/gateway": (GATEWAY, here)}
    with targets(pages) as target, running(install_tools(), folder, target) as prometheus, browser() as tab:
        time.sleep(HISTORY_S / 2)  # there are six scrapes already
        yield {uid: _drawn(tab, folder, board, prometheus) for uid, board in BOARDS.items()}


def _drawn(tab: Page, folder: Path, board: Json, prometheus: Prometheus) -> list[Drawn]:
    end = float(int(time.time()))
    span = Span(end - HISTORY_S, end)
    whole = opened(board)
    found = draw(tab, folder, whole, answers(prometheus, whole, DEPLOYMENT, span), span)
    assert tab.complaints == []
    return found


def named(uid: str, one: Drawn) -> str:
    return f"{uid}: {one.panel['title']}"


def each(drawn: dict[str, list[Drawn]], *kinds: str) -> Iterator[tuple[str, Drawn]]:
    for uid, found in drawn.items():
        yield from ((named(uid, one), one) for one in found if not kinds or one.panel["type"] in kinds)


def test_every_panel_of_every_dashboard_is_drawn(drawn: dict[str, list[Drawn]]) -> None:
    assert {uid: len(found) for uid, found in drawn.items()} == {
        uid: len(panels(board)) for uid, board in BOARDS.items()
    }


def test_no_panel_is_empty(drawn: dict[str, list[Drawn]]) -> None:
    """Alerts have nothing to show: none fires here."""
    empty = [
        name for name, one in each(drawn) if one.empty or one.panel["fieldConfig"]["defaults"]["noValue"] in one.text
    ]
    assert [name for name in empty if name != "overview: Alerts"] == []


def test_no_title_and_no_legend_is_cut_off(drawn: dict[str, list[Drawn]]) -> None:
    assert {name: one.cut for name, one in each(drawn) if one.cut} == {}


def test_an_axis_says_its_unit(drawn: dict[str, list[Drawn]]) -> None:
    wrong = {}
    for name, one in each(drawn, "timeseries"):
        defaults = one.panel["fieldConfig"]["defaults"]
        labels = [text for text in one.axis if not CLOCK.match(text) and text != defaults["custom"].get("axisLabel")]
        bad = [text for text in labels if text != "0" and not re.search(SAID[defaults["unit"]], text)]
        if bad or len(labels) < 2:
            wrong[name] = bad or labels
    assert wrong == {}


def test_a_count_says_what_it_counts(drawn: dict[str, list[Drawn]]) -> None:
    silent = [
        name for name, one in each(drawn, "timeseries")
        if one.panel["fieldConfig"]["defaults"]["unit"] == "short"
        and one.panel["fieldConfig"]["defaults"]["custom"].get("axisLabel") not in one.axis
    ]  # fmt: skip
    assert silent == []


def test_the_legend_names_every_line(drawn: dict[str, list[Drawn]]) -> None:
    for name, one in each(drawn, "timeseries"):
        assert sorted(one.legend) == sorted(_names(one)), name


def _names(one: Drawn) -> Iterator[str]:
    for target, found in zip(one.panel["targets"], one.found, strict=True):
        for series in found:
            name: str = target["legendFormat"]
            for label in re.findall(r"\{\{(\w+)\}\}", name):
                name = name.replace(f"{{{{{label}}}}}", series["metric"].get(label, ""))
            yield name


def test_a_threshold_is_a_dashed_line_of_its_colour(drawn: dict[str, list[Drawn]]) -> None:
    seen = 0
    for name, one in each(drawn, "timeseries"):
        defaults = one.panel["fieldConfig"]["defaults"]
        if "thresholdsStyle" not in defaults["custom"]:
            continue
        color = defaults["thresholds"]["steps"][-1]["color"]
        if color != "transparent":
            seen += 1
            assert any(_hue(dash) == color for dash in one.dashed), f"{name}: {one.dashed}"
            top = defaults["custom"]["axisSoftMax"]
            assert defaults["thresholds"]["steps"][-1]["value"] < top, f"{name}: its limit lies above the axis"
    assert seen >= 5


def _hue(css: str) -> str:
    """Which of our colours this is, whatever its shade."""
    numbers = [int(css[at : at + 2], 16) for at in (1, 3, 5)] if css.startswith("#") else _rgb(css)
    red, green, blue = numbers
    if red > green + 40 and red > blue + 40:
        return "orange" if green > 1.4 * blue else "red"
    return "green" if green > red and green > blue else "blue"


def _rgb(css: str) -> list[int]:
    return [int(float(part)) for part in re.findall(r"[\d.]+", css)[:3]]


def test_a_number_has_its_unit_and_the_colour_of_its_threshold(drawn: dict[str, list[Drawn]]) -> None:
    for name, one in each(drawn, "stat"):
        defaults = one.panel["fieldConfig"]["defaults"]
        if "mappings" in defaults:
            texts = [each["text"] for mapping in defaults["mappings"] for each in mapping["options"].values()]
            assert any(text in one.text for text in texts), name
            continue
        value = _last(one)
        color = [
            step["color"] for step in defaults["thresholds"]["steps"] if step["value"] is None or value >= step["value"]
        ]
        assert color[-1] in {_hue(css) for css in one.colors}, f"{name}: {value}, {one.colors}"
        shown = "".join(line for line in one.text.splitlines() if line != one.panel["title"])
        assert re.search(SAID[defaults["unit"]].replace("$", "").replace("^", ""), shown), f"{name}: {shown}"


def _last(one: Drawn) -> float:
    [series] = one.found[0]
    return float(series["value"][1] if "value" in series else series["values"][-1][1])


def test_states_have_their_words(drawn: dict[str, list[Drawn]]) -> None:
    for name, one in each(drawn, "state-timeline"):
        words = {each["text"] for each in one.panel["fieldConfig"]["defaults"]["mappings"][0]["options"].values()}
        assert (one.states or name == "overview: Alerts") and set(one.states) <= words, name


def test_heat_maps_have_cells_and_tables_rows(drawn: dict[str, list[Drawn]]) -> None:
    for name, one in each(drawn, "heatmap"):
        assert one.cells > 0, name
    for name, one in each(drawn, "table"):
        headings: dict[str, Any] = one.panel["transformations"][1]["options"]["renameByName"]
        missing = [heading for heading in headings.values() if heading not in one.text]
        assert missing == [], f"{name}: {one.text}"


def test_every_picture_of_the_page_shows_a_dashboard_of_today() -> None:
    """One for each, not too heavy for a page, and named in docs/dashboards.md."""
    page = (ROOT / "docs" / "dashboards.md").read_text()
    for uid in BOARDS:
        picture = ROOT / "docs" / "images" / f"dashboard-{uid}.png"
        assert picture.stat().st_size < 200_000, uid
        assert f"images/{picture.name}" in page
