"""The report as a person sees it: in a real browser, from disk, at desktop and phone width, light and dark."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from loadtest.analysis.verdict import PerformanceTarget
from loadtest.report import html_page, multi_view, race_page
from loadtest.report.multi import joined
from tests.browser import Page, chromium
from tests.loadtest.report.test_race_page import race
from tests.loadtest.reports import Side, make

LONG = "a-very-long-name-without-a-blank-" * 4


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One side; two sides with repeats, a failure and long words."""
    folder = tmp_path_factory.mktemp("reports")
    target = PerformanceTarget("five at once, against Ollama", 5, "total_time_s", times_better=2.0, baseline="ollama")
    sides = [Side("planned", model=LONG), Side("ollama", itl_ms=25, ttft_ms=20, ttft_ms_per_user=30, failures=1)]
    contents = {"one": make(users=(1, 5, 10, 50)), "two": make(sides, (1, 5, 10, 50), 3, [target])}
    for name, content in contents.items():
        (folder / name).mkdir()
        html_page.write(content, folder / name)
    return {name: folder / name / "report.html" for name in contents}


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    with chromium() as tab:
        yield tab


@pytest.mark.parametrize("name", ["one", "two"])
def test_the_report_fits_its_window_and_fetches_nothing(browser: Page, reports: dict[str, Path], name: str) -> None:
    for width in (1280, 390):
        browser.shape(width)
        browser.open(reports[name].as_uri())
        assert browser.overflow() <= 0, f"{width} px"
        assert browser.complaints == []
        assert browser.requested == [reports[name].as_uri()]
        assert browser.ask("document.querySelectorAll('svg').length") >= 9
        verdict, table = (
            f"document.querySelector('{what}').getBoundingClientRect().top" for what in (".verdict", "table")
        )
        assert browser.ask(f"{verdict} < {table}")


def test_dark_mode_is_dark_and_its_text_is_light(browser: Page, reports: dict[str, Path]) -> None:
    seen = {}
    for dark in (False, True):
        browser.shape(1280, dark=dark)
        browser.open(reports["one"].as_uri())
        colours = [browser.ask(f"getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color")]
        seen[dark] = [sum(map(int, re.findall(r"\d+", colour)[:3])) / 3 for colour in colours]
    assert seen[False][0] > 200 > 80 > seen[False][1]
    assert seen[True][0] < 50 < 180 < seen[True][1]


def test_on_a_phone_a_row_is_a_card_with_its_labels(browser: Page, reports: dict[str, Path]) -> None:
    browser.shape(390)
    browser.open(reports["one"].as_uri())
    label = "getComputedStyle(document.querySelectorAll('table.cards td')[3], '::before').content"
    assert browser.ask(label) == '"TTFT p50/p95"'
    assert browser.ask("getComputedStyle(document.querySelector('table.cards thead')).display") == "none"


def test_a_joined_table_fits_its_window_and_fetches_nothing(browser: Page, tmp_path: Path) -> None:
    contents = {"a": make([Side(model=LONG)], users=(1, 50)), "b": make([Side("x", model=LONG), Side("y")], users=(5,))}
    path = tmp_path / "table.html"
    path.write_text(multi_view.as_html(joined(contents)))
    for width in (1280, 390):
        browser.shape(width)
        browser.open(path.as_uri())
        assert browser.overflow() <= 0, f"{width} px"
        assert browser.complaints == [] and browser.requested == [path.as_uri()]
        assert browser.ask("document.querySelectorAll('tbody tr').length") == 4


@pytest.fixture(scope="module")
def raced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a race with long words in it."""
    folder = tmp_path_factory.mktemp("race")
    content = race(profile=LONG, diff=f"-{LONG}\n+{LONG}\n")
    content["arms"][3]["failed"] = f"no room for {LONG}"
    (folder / "race.json").write_text(json.dumps(content))
    return race_page.write(folder)


def test_the_page_of_a_race_fits_its_window_in_light_and_dark(browser: Page, raced: Path) -> None:
    for width in (1440, 360):
        for dark in (False, True):
            browser.shape(width, dark=dark)
            browser.open(raced.as_uri())
            assert browser.overflow() <= 0, f"{width} px"
            assert browser.complaints == [] and browser.requested == [raced.as_uri()]
    labels = "[...document.querySelectorAll('table.cards td.text')].map(one => one.children.length)"
    assert max(browser.ask(labels)) <= 1, "a cell of a card is a label and one thing beside it"


def test_between_two_arms_of_a_race_no_line_is_drawn(browser: Page, raced: Path) -> None:
    browser.open(raced.as_uri())
    drawn = browser.ask(
        "[...document.querySelectorAll('figure')[1].querySelectorAll('path.s1')].map(p => p.getTotalLength())"
    )
    dots = browser.ask("document.querySelectorAll('figure')[1].querySelectorAll('circle.d1').length")
    assert dots == 2 and max(drawn[-1:]) == 0


@pytest.mark.parametrize("name", ["one", "two", "race"])
def test_axe_finds_nothing(browser: Page, reports: dict[str, Path], raced: Path, name: str) -> None:
    for dark in (False, True):
        browser.shape(360 if dark else 1440, dark=dark)
        browser.open((raced if name == "race" else reports[name]).as_uri())
        browser.ask((files("axe_core_python") / "axe.min.js").read_text() + ";1")
        found = browser.ask(
            "axe.run().then(all => all.violations.map(one => [one.id, one.nodes[0].html.slice(0, 200)]))"
        )
        assert found == []
