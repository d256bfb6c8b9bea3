"""Parameters against what the engine's own Transformers counts on the meta device (scripts/record-classes)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fullbatch.catalog import classes, config_json, registry
from tests.fullbatch.checkout import REPOSITORY

COUNTED: dict[str, Any] = json.loads((REPOSITORY / "tests/fixtures/parameters.json").read_text(encoding="utf-8"))
DEFAULTS = {name: entry for name, entry in COUNTED["defaults"].items() if "parameters" in entry}
PUBLISHED = {name: entry for name, entry in COUNTED["published"].items() if "parameters" in entry}
# What Transformers counts and no checkpoint holds, or its class's defaults are no model's.
OTHERWISE = {
    "LongcatFlashForCausalLM": "256 experts that pass their input on have matrices in Transformers' class only",
    "NemotronHForCausalLM": "the default model has four layers, one of each kind, and says so nowhere",
    "NemotronH_Omni_Reasoning_V3": "the same",
    "Ernie4_5_VLMoeForConditionalGeneration": "two lists of experts, whose widths each config.json writes",
    "Qwen2_5OmniForConditionalGeneration": "what speaks is counted too, which vLLM does not load",
}
WITHIN = 0.02


def _missed(entry: dict[str, Any]) -> float:
    """By how much of what is counted the plan's parameters differ."""
    model = config_json.parse(entry["config"], Path("x/config.json"))
    added = registry.more(entry["config"]) if "were added" in " ".join(model.notes) else 1.0
    return abs(model.weights_gib["bf16"] / added * 2**29 / int(entry["parameters"]) - 1)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_model(name: str) -> None:
    assert _missed(PUBLISHED[name]) < WITHIN


@pytest.mark.parametrize("name", [name for name in DEFAULTS if name not in registry.ROUGHLY])
def test_the_default_model_of_an_architecture(name: str) -> None:
    if name not in OTHERWISE:
        assert _missed(DEFAULTS[name]) < WITHIN


def test_only_what_is_missed_is_called_rough() -> None:
    found = {name for name, entry in DEFAULTS.items() if name not in OTHERWISE and _missed(entry) >= WITHIN}
    assert found == set(registry.ROUGHLY) - set(OTHERWISE)


@pytest.mark.parametrize("name", [name for name in registry.ROUGHLY if name not in OTHERWISE])
def test_what_is_missed_is_taken_as_more_and_never_less(name: str) -> None:
    model = config_json.parse(DEFAULTS[name]["config"], Path("x/config.json"))
    assert 0.99 < model.weights_gib["bf16"] * 2**29 / DEFAULTS[name]["parameters"] < 1.3
    assert model.notes


def test_a_fixture_is_of_the_recorded_classes() -> None:
    assert set(DEFAULTS) <= set(classes.recorded()["architectures"])
    assert len(DEFAULTS) > 140
    assert len(PUBLISHED) > 45


@pytest.mark.parametrize(
    ("name", "total", "active"),
    [
        ("openai/gpt-oss-120b", 116.8, 5.1),
        ("Qwen/Qwen3.5-35B-A3B", 35.1, 3.0),
        ("deepseek-ai/DeepSeek-V3", 671.0, 37.0),
    ],
)
def test_one_token_passes_through_a_part_of_a_mixture(name: str, total: float, active: float) -> None:
    """As published: gpt-oss-120b 117B-A5.1B, 35B-A3B, 671B-A37B."""
    model = config_json.parse(PUBLISHED[name]["config"], Path("x/config.json"))
    assert model.params_b == pytest.approx(total, rel=0.02)
    assert model.active_b == pytest.approx(active, rel=0.05)
