"""No config.json ends in a traceback: a model that can be planned, or one line that names the key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fullbatch import catalog
from fullbatch.catalog import config_json
from fullbatch.catalog.config_numbers import _LISTS, NUMBERS
from fullbatch.core.errors import UsageError
from fullbatch.planning import advice, profile
from tests.fullbatch.catalog.test_config_json import DEEPSEEK_V3, LLAMA, MIXTRAL

SORTED = sorted(NUMBERS)
BAMBA: dict[str, Any] = LLAMA | {
    "architectures": ["BambaForCausalLM"], "mamba_n_heads": 128, "mamba_d_state": 128, "mamba_d_head": 64,
    "attn_layer_indices": [9, 18, 27],
}  # fmt: skip
QWEN3_NEXT: dict[str, Any] = LLAMA | {
    "architectures": ["Qwen3NextForCausalLM"], "linear_num_value_heads": 32, "linear_num_key_heads": 16,
    "linear_key_head_dim": 128, "linear_value_head_dim": 128, "full_attention_interval": 4,
}  # fmt: skip
GEMMA3 = LLAMA | {"architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text", "sliding_window": 1024}
BASES = [LLAMA, DEEPSEEK_V3, MIXTRAL, BAMBA, QWEN3_NEXT, GEMMA3]
OTHERS = (
    "architectures", "model_type", "text_config", "layer_types", "layers_block_type", "hybrid_override_pattern",
    "attn_layer_indices", "rope_scaling", "rope_parameters", "quantization_config", "tie_word_embeddings",
    "sliding_window_pattern", "use_sliding_window", "linear_attn_config", "mlp_layer_types", "moe_layer_freq",
    "mlp_only_layers", "moe_layers", "no_rope_layers", "hybrid_layer_pattern", "vision_config", "layer_pattern",
    "full_attn_idxs", "auto_map", "mlp_ratio", "deepstack_visual_indexes",
)  # fmt: skip
NESTED = ["rope_type", "bits", "config_groups", "weights", "a", *SORTED]
junk = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats() | st.text(max_size=5)
    | st.sampled_from([0, 1, -1, "longrope", "mamba", "sliding_attention", 10**30]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(NESTED), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


def _plan(data: dict[str, Any]) -> None:
    model = config_json.parse(data, Path("config.json"))
    asked = {"description": "d", "model": model.name, "hardware": {"gpu": "h200"}, "context": 256}
    made = profile.parse(asked, "x", {model.name: model})
    advice.advise(advice.plan("x", made, model), made, model)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(BASES), st.dictionaries(st.sampled_from([*SORTED, *OTHERS]), junk, max_size=3))
def test_any_value_at_any_key_ends_in_a_plan_or_in_a_line(base: dict[str, Any], changes: dict[str, Any]) -> None:
    try:
        _plan(base | changes)
    except UsageError as refusal:
        assert str(refusal)
        assert "\n" not in str(refusal)


@pytest.mark.parametrize("key", SORTED)
@pytest.mark.parametrize("value", [[32] * 35, "many", -7, 1.5, True, {}, 10**12, float("inf")], ids=repr)
def test_what_is_no_number_is_named(key: str, value: Any) -> None:
    if isinstance(value, list) and key in _LISTS:  # a number for each layer
        assert config_json.parse(LLAMA | {key: value}, Path("config.json")).layers == 32
        return
    with pytest.raises(UsageError, match=rf"^config\.json: {key} is ") as raised:
        config_json.parse(LLAMA | {key: value}, Path("config.json"))
    assert len(str(raised.value)) < 200
    assert ("one number for each layer" in str(raised.value)) == isinstance(value, list)


def test_key_value_heads_must_divide_the_heads() -> None:
    with pytest.raises(
        UsageError, match=r"^config\.json: num_attention_heads 32 is no multiple of num_key_value_heads 7"
    ):
        config_json.parse(LLAMA | {"num_key_value_heads": 7}, Path("config.json"))


@pytest.mark.parametrize("base", BASES, ids=lambda base: base["architectures"][0])
def test_null_and_a_whole_float_are_as_in_transformers(base: dict[str, Any]) -> None:
    floats = {key: float(value) for key, value in base.items() if key in SORTED}
    assert config_json.parse(base | floats, Path("x")) == config_json.parse(base, Path("x"))
    assert (
        config_json.parse(base | {"sliding_window": None, "head_dim": None}, Path("x")).heads
        == base["num_attention_heads"]
    )


def test_a_key_that_such_layers_need_is_named() -> None:
    without = {key: value for key, value in QWEN3_NEXT.items() if key != "linear_key_head_dim"}
    for data in (without, QWEN3_NEXT | {"linear_key_head_dim": None}):
        with pytest.raises(UsageError, match="config.json: linear_key_head_dim is missing"):
            config_json.parse(data, Path("config.json"))


@pytest.mark.parametrize("text", ["[" * 100_000, "[1]", "nul", "{" + '"a":1,' * 2_000_000 + '"b":1}', "\xff", ""])
def test_what_is_no_config_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text, encoding="latin-1")
    with pytest.raises(UsageError) as raised:
        config_json.read(tmp_path)
    assert str(raised.value).startswith(f"{tmp_path}/config.json: ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("size", ["NaN", "-1", "1e400", '"x"', "null", "[]", "1" + "0" * 40])
def test_a_size_that_is_none_is_not_taken(tmp_path: Path, size: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA), encoding="utf-8")
    (tmp_path / "model.safetensors.index.json").write_text(
        f'{{"metadata": {{"total_size": {size}}}}}', encoding="utf-8"
    )
    assert config_json.read(tmp_path).weights_gib["bf16"] == pytest.approx(
        catalog.models()["meta-llama/Llama-3.1-8B-Instruct"].weights_gib["bf16"], abs=0.1
    )
