"""Rules as promtool sees them, their unit tests, and what every alert owes the person it wakes."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.prometheus.promql import PROMETHEUS, rules

RULES = sorted((PROMETHEUS / "rules").glob("*.yaml"))
UNIT_TESTS = sorted((PROMETHEUS / "tests").glob("*.yaml"))
ROOT = PROMETHEUS.parent
RENDERED = sorted((ROOT / "rendered").glob("*/prometheus.yaml"))
ALERTS = rules("alert")


def promtool(tools: Path, *arguments: str | Path) -> str:
    run = subprocess.run([tools / "promtool", *arguments], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_rules_pass_every_lint_of_promtool(tools: Path) -> None:
    promtool(tools, "check", "rules", "--lint=all", "--lint-fatal", *RULES)


@pytest.mark.parametrize("path", UNIT_TESTS, ids=lambda path: path.stem)
def test_unit_tests_of_the_rules(path: Path, tools: Path) -> None:
    promtool(tools, "test", "rules", path)


@pytest.mark.parametrize("path", RENDERED, ids=lambda path: path.parent.name)
def test_rendered_scrape_configuration_is_accepted(path: Path, tools: Path) -> None:
    promtool(tools, "check", "config", path)


def alert_tests() -> list[dict[str, Any]]:
    cases = [case for path in UNIT_TESTS for case in yaml.safe_load(path.read_text())["tests"]]
    return [alert for case in cases for alert in case.get("alert_rule_test", [])]


@pytest.mark.parametrize("name", ALERTS)
def test_alert_is_seen_to_fire_and_to_keep_quiet(name: str) -> None:
    assert {bool(test["exp_alerts"]) for test in alert_tests() if test["alertname"] == name} == {True, False}


@pytest.mark.parametrize("name", ALERTS)
def test_alert_says_what_and_how_bad(name: str) -> None:
    assert ALERTS[name]["labels"]["severity"] in {"critical", "warning", "info"}
    assert ALERTS[name]["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert len(ALERTS[name]["annotations"]["summary"]) <= 120


@pytest.mark.parametrize("name", ALERTS)
def test_alert_links_its_own_heading_in_the_runbook(name: str) -> None:
    page, _, anchor = ALERTS[name]["annotations"]["runbook_url"].partition("#")
    assert anchor == name.lower()
    assert f"## {name}" in (ROOT / page).read_text().splitlines()


def test_runbook_has_no_heading_of_an_alert_that_is_gone() -> None:
    headings = re.findall(r"^## (\w+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(ALERTS)


@pytest.mark.parametrize("heading", ["What it means", "First look", "What to do"])
def test_every_part_of_the_runbook_answers_the_same_questions(heading: str) -> None:
    parts = re.split(r"^## \w+$", (ROOT / "docs" / "runbook.md").read_text(), flags=re.MULTILINE)[1:]
    assert [part for part in parts if f"**{heading}.**" not in part] == []


@pytest.mark.parametrize("name", rules("record"))
def test_recorded_name_has_level_metric_and_operations(name: str) -> None:
    assert re.fullmatch(r"[a-z_]+:[a-z_]+:[a-z0-9_]+", name)
