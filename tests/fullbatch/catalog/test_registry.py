"""Every architecture of the pinned engine: sized exactly, sized with a named doubt, or refused with why."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from fullbatch import catalog
from fullbatch.catalog import classes, config_json, registry
from fullbatch.core.errors import UsageError
from tests.fullbatch.checkout import REPOSITORY

COUNTED: dict[str, Any] = json.loads((REPOSITORY / "tests/fixtures/parameters.json").read_text(encoding="utf-8"))
REGISTRY: dict[str, str] = classes.recorded()["architectures"]
PLAIN = {
    "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "vocab_size": 128256,
}  # fmt: skip
# The default model of these classes says nowhere how many layers it has; every config.json of theirs does.
SILENT = ("NemotronHForCausalLM", "NemotronH_Omni_Reasoning_V3")


def _config(architecture: str) -> dict[str, Any]:
    """What its class alone says, or a plain decoder's where Transformers has none."""
    known = COUNTED["defaults"].get(architecture, {}).get("config")
    if known and architecture not in SILENT:
        return dict(known)
    return {
        "architectures": [architecture],
        "model_type": classes.model_type({"architectures": [architecture]}),
        **PLAIN,
    }


@pytest.mark.parametrize("architecture", REGISTRY)
def test_every_architecture_is_sized_or_refused_with_why(architecture: str) -> None:
    try:
        model = config_json.parse(_config(architecture), Path("x/config.json"))
    except UsageError as refusal:
        assert REGISTRY[architecture] == "draft"
        assert architecture in str(refusal)
        return
    assert REGISTRY[architecture] != "draft"
    assert model.params_b > 0
    # Without a doubt only where this model, or its decoder, was counted.
    whole = classes.completed(_config(architecture))
    types = {str(part.get("model_type")) for part in (whole, whole.get("text_config") or {})}
    assert model.notes or any(classes.is_counted(one) for one in types)


@pytest.mark.parametrize("architecture", sorted(classes.recorded()["gone"]))
def test_what_the_engine_had_once_is_refused_or_doubted(architecture: str) -> None:
    config = {"architectures": [architecture], **PLAIN}
    if classes.kind(architecture):
        return
    if classes.has_stand_in(architecture):
        assert any("any more" in note for note in config_json.parse(config, Path("x/config.json")).notes)
        return
    with pytest.raises(UsageError, match=f"serves {architecture} no more, .* was the last that did; choose a newer"):
        config_json.parse(config, Path("x/config.json"))


def test_an_encoder_keeps_nothing_of_a_request() -> None:
    model = config_json.parse(
        {"architectures": ["XLMRobertaModel"], "model_type": "xlm-roberta"}, Path("x/config.json")
    )
    assert (model.keeps, model.pooling) == ((), True)
    causal = config_json.parse({"architectures": ["Qwen2ForRewardModel"], "model_type": "qwen2"}, Path("x/config.json"))
    assert causal.keeps
    assert causal.pooling


def test_a_cache_with_rules_of_its_own_is_named() -> None:
    model = config_json.parse(
        {"architectures": ["DeepseekV4ForCausalLM"], "model_type": "deepseek_v4"}, Path("x/y.json")
    )
    assert any("compressed blocks beside a window" in note for note in model.notes)


def test_code_of_the_repository_is_only_needed_where_nobody_knows_the_class() -> None:
    auto = {"AutoConfig": "configuration_x.XConfig"}
    assert not registry.needs_remote_code(
        {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "auto_map": auto}
    )
    assert registry.needs_remote_code({"architectures": ["XForCausalLM"], "model_type": "x", "auto_map": auto})


@pytest.mark.engine
def test_which_architectures_take_adapters_is_what_the_engines_classes_say() -> None:
    """`SupportsLoRA` among the classes that a model's is derived from, by name."""
    (models,) = (REPOSITORY / ".fullbatch/engine/lib").glob("python3*/site-packages/vllm/model_executor/models")
    bases: dict[str, set[str]] = {}
    for path in models.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                names = (ast.unparse(base).split("[")[0].rpartition(".")[2] for base in node.bases)
                bases.setdefault(node.name, set()).update(names)

    def takes(name: str, seen: frozenset[str] = frozenset()) -> bool:
        others = bases.get(name, set()) - seen
        return "SupportsLoRA" in others or any(takes(base, seen | {name}) for base in others)

    text = (models / "registry.py").read_text(encoding="utf-8")
    named = re.findall(r'"(\w+)":\s*\(\s*"[\w.]+",\s*"(\w+)"', text.partition("_SPECULATIVE_DECODING_MODELS")[0])
    listed = set(catalog.read("no_adapters.yaml")["architectures"])
    assert {name for name, of in named if not takes(of)} == listed


def test_an_architecture_that_takes_no_adapters() -> None:
    assert not registry.takes_adapters({"architectures": ["FalconForCausalLM"]})
    assert registry.takes_adapters({"architectures": ["Qwen3ForCausalLM"]}) and registry.takes_adapters({})
