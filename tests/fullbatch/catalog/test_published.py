from __future__ import annotations

import re
from typing import Any

import pytest

from fullbatch import catalog
from fullbatch.catalog import published

ROWS: dict[str, dict[str, Any]] = catalog.read("published.yaml")
# What a name counts and what lies on the card: towers, words, or only the parameters of some tokens.
OTHERWISE = {"Qwen/Qwen3.5-9B", "Qwen/Qwen3-VL-8B-Instruct"}


@pytest.mark.parametrize("name", ROWS)
def test_a_model_has_as_many_parameters_as_its_title_says(name: str) -> None:
    model = catalog.models()[name]
    said = re.search(r"(\d+(?:\.\d+)?)(B|T|b)\b", model.title) or re.search(r"(\d+(?:\.\d+)?)(B|T|b)", model.title)
    if said:
        billions = float(said[1]) * (1000 if said[2] == "T" else 1)
        assert model.params_b == pytest.approx(billions, rel=0.2 if name in OTHERWISE or billions < 5 else 0.06)
    assert model.notes == ()


@pytest.mark.parametrize("name", ROWS)
def test_a_row_says_whence_and_nothing_unknown(name: str) -> None:
    assert set(ROWS[name]) <= {"title", "source", "config", "sizes", "checkpoints", "gated"}
    assert len(ROWS[name]["source"]) > 15
    named = {one for names in ROWS[name].get("checkpoints", {}).values() for one in names}
    assert set(ROWS[name].get("sizes", {})) <= named | {name}


def test_there_are_enough_to_choose_from() -> None:
    bases = [name for name in catalog.models() if catalog.models()[name].base == name]
    assert len(bases) >= 45
    assert len(catalog.gpus()) >= 24


def test_a_checkpoint_has_its_own_published_size() -> None:
    """The bytes of the files: 28.7 GiB of Qwen3.8-27B-FP8, 12.8 of gpt-oss-20b."""
    models = catalog.models()
    assert models["Qwen/Qwen3.8-27B-FP8"].weights_gib["fp8"] == 28.7
    assert models["Qwen/Qwen3.8-27B"].weights_gib["bf16"] == 51.7
    assert models["openai/gpt-oss-20b"].weights_gib["mxfp4"] == pytest.approx(12.8, abs=0.1)


@pytest.mark.parametrize(
    ("name", "gib"),
    [("Qwen/Qwen3.5-9B", 17.98), ("nvidia/Qwen3-235B-A22B-NVFP4", 125), ("Qwen/Qwen3.6-35B-A3B-FP8", 34.1)],
)
def test_what_is_reckoned_is_near_what_was_published(name: str, gib: float) -> None:
    """Qwen3.5-9B's files have 19,306,216,416 bytes, of which its drafter is a part that is not loaded."""
    model = catalog.models()[name]
    assert model.weights_gib[model.precision] == pytest.approx(gib, rel=0.03)


def test_nvidias_own_checkpoints_ask_for_a_narrow_cache() -> None:
    assert catalog.models()["nvidia/Qwen3.6-27B-NVFP4"].kv_dtype == "fp8"
    assert catalog.models()["unsloth/Qwen3.8-27B-NVFP4"].kv_dtype == ""


def test_a_row_is_read_when_it_is_asked_for() -> None:
    rows = {"a/b": {"title": "t", "source": "s", "config": {}, "checkpoints": {"int4": ["a/b-AWQ"]}}}
    models = published.Models({}, rows)
    assert list(models) == ["a/b", "a/b-AWQ"]
    assert len(models) == 2
    assert "a/b-AWQ" in models
    assert "c" not in models
