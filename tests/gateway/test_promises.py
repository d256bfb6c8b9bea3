"""docs/gateway-behaviour.md and the tests name the same promises, and the page lists every setting and outcome."""

from __future__ import annotations

import re

from pydantic import BaseModel

from gateway.config.listen import Listen
from gateway.config.setting_types import Cors, RequestLimits
from gateway.config.settings import (
    AdmissionSettings,
    EngineSettings,
    Limits,
    Log,
    Polling,
    Settings,
)
from gateway.config.turn_settings import ResidencySettings, TurnSettings
from gateway.telemetry.metrics import OUTCOMES
from tests.gateway.harness import ROOT

PAGE = (ROOT / "docs" / "gateway-behaviour.md").read_text()


def test_every_promise_has_a_test_and_every_test_a_promise() -> None:
    promised = set(re.findall(r"^\*\*(P\d+)\*\*", PAGE, re.MULTILINE))
    sources = [path.read_text() for path in (ROOT / "tests" / "gateway").rglob("test_*.py")]
    names = re.findall(r"def test_((?:p\d+_)+)", "".join(sources))
    tested = {f"P{number}" for name in names for number in re.findall(r"p(\d+)_", name)}
    assert promised == tested


def test_every_setting_and_outcome_is_on_the_page() -> None:
    sections: list[type[BaseModel]] = [Settings, Listen, Limits, RequestLimits]
    sections += [Cors, AdmissionSettings, Polling, Log, EngineSettings, TurnSettings, ResidencySettings]
    names = {name for section in sections for name in section.model_fields} | OUTCOMES
    assert {name for name in names if f"`{name}`" not in PAGE} == set()
