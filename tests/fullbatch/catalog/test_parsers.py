"""The record of the engine's parsers is the pinned engine's."""

from __future__ import annotations

import subprocess

import pytest

from fullbatch import catalog
from fullbatch.catalog import parsers
from tests.fullbatch.checkout import REPOSITORY

RECORD = REPOSITORY / "fullbatch" / "catalog" / "engine_registries.yaml"


def test_the_record_is_of_the_pinned_engine() -> None:
    assert parsers.recorded_version() == catalog.engine().version
    assert {"hermes", "mistral", "openai"} <= parsers.tool()
    assert {"qwen3", "deepseek_r1", "gemma4"} <= parsers.reasoning()


@pytest.mark.engine
def test_the_record_is_current() -> None:
    """The registries of the engine itself, asked again: nothing is written that was not there."""
    before = RECORD.read_text(encoding="utf-8")
    try:
        answer = subprocess.run(
            [REPOSITORY / "scripts" / "record-registries"], capture_output=True, text=True, check=True, timeout=120
        )
        assert RECORD.read_text(encoding="utf-8") == before, answer.stdout
    finally:
        RECORD.write_text(before, encoding="utf-8")
