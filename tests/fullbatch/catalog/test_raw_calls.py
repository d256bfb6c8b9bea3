"""The parsers of families.yaml read what models of these families write: vLLM's own classes, without weights."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
import yaml

from fullbatch.catalog import families
from tests.fullbatch.checkout import REPOSITORY

PYTHON = REPOSITORY / ".fullbatch" / "engine" / "bin" / "python"
PROBE = REPOSITORY / "tests" / "fullbatch" / "catalog" / "parse_raw.py"
RAW: dict[str, dict[str, Any]] = yaml.safe_load((REPOSITORY / "tests/fixtures/raw-calls.yaml").read_text("utf-8"))
# Harmony reads token ids of its own vocabulary, which comes from a network.
WITHOUT = {"gpt-oss"}
# Mistral's own tokenizer, whose package writes the marks of thinking, comes with the weights.
WITHOUT |= {"Mistral that thinks"}

CALLS: list[list[Any]] = [["get_weather", {"city": "Oslo", "days": 3}], ["get_time", {"zone": "UTC"}]]
OFFERED = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": properties}}}
    for name, properties in {
        "get_weather": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "get_time": {"zone": {"type": "string"}},
    }.items()
]
FAMILIES = {family.name: family for family, _, _ in families.rows() if family.tools or family.thinking}


def test_every_family_with_a_parser_has_a_text() -> None:
    assert set(RAW) == set(FAMILIES) - WITHOUT


@pytest.fixture(scope="module")
def readings() -> dict[str, dict[str, Any]]:
    """What the engine's parsers make of all of them; its Python is started once."""
    asked = [
        {"prompt": "", "kwargs": {}, "offered": OFFERED, "tools": FAMILIES[name].tools,
         "thinking": FAMILIES[name].thinking} | facts
        for name, facts in RAW.items()
    ]  # fmt: skip
    answer = subprocess.run(
        [str(PYTHON), "-P", str(PROBE)], input=json.dumps(asked), capture_output=True, text=True, check=True
    )
    return dict(zip(RAW, json.loads(answer.stdout.splitlines()[-1]), strict=True))


@pytest.mark.engine
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", RAW)
def test_calls_and_thinking_are_told_apart(readings: dict[str, dict[str, Any]], name: str) -> None:
    """Whole, letter by letter, and five at once, as drafts bring them."""
    facts, found = RAW[name], readings[name]
    wanted = {
        "thinking": facts.get("thought", "I look."),
        "content": facts.get("content", ""),
        "calls": CALLS[: facts.get("calls", 2)],
    }
    for way, read in found.items():
        told = read | {"thinking": read["thinking"].strip(), "content": read["content"].strip()}
        if way in facts.get("broken", ()):  # when an engine has mended it, the word goes
            assert told != wanted, way
        else:
            assert told == wanted, way
