"""Sizes of quantised checkpoints, against what was published or worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fullbatch.catalog import config_json, quantised
from tests.fullbatch.catalog.test_config_json import LLAMA

GPT_OSS_20B: dict[str, Any] = {
    "architectures": ["GptOssForCausalLM"], "model_type": "gpt_oss", "num_hidden_layers": 24, "num_local_experts": 32,
    "quantization_config": {
        "quant_method": "mxfp4",
        "modules_to_not_convert": [
            "model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head",
        ],
    },
}  # fmt: skip


def _gib(data: dict[str, Any]) -> float:
    model = config_json.parse(data, Path("x/config.json"))
    return model.weights_gib[model.precision]


def test_only_the_experts_of_mxfp4() -> None:
    """The published files of gpt-oss-20b have 12.8 GiB."""
    assert _gib(GPT_OSS_20B) == pytest.approx(12.8, abs=0.1)


@pytest.mark.parametrize(
    ("settings", "precision", "gib"),
    [
        ({"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_use_double_quant": True}, "int4", 5.3),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "int8", 8.5),
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, "int4", 5.34),
        ({"quant_method": "gptq", "bits": 4, "group_size": 32}, "int4", 5.72),
        ({"quant_method": "auto-round", "bits": 4, "group_size": 128, "sym": True}, "int4", 5.34),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8", 8.46),
        ({"quant_method": "modelopt", "quant_algo": "FP8"}, "fp8", 8.46),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "nvfp4", 5.61),
        ({"quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized",
          "config_groups": {"g": {"weights": {"num_bits": 4, "type": "float", "group_size": 16}}}}, "nvfp4", 5.61),
        ({"quant_method": "brandnew"}, "bf16", 14.96 * 1.1),
    ],
)  # fmt: skip
def test_llama_8b_by_method(settings: dict[str, Any], precision: str, gib: float) -> None:
    model = config_json.parse(LLAMA | {"quantization_config": settings}, Path("x/config.json"))
    assert model.precision == precision
    assert model.weights_gib[precision] == pytest.approx(gib, rel=0.01)


@pytest.mark.parametrize(
    ("method", "foreign"),
    [("awq", False), ("auto-round", False), ("modelopt", False), ("bitsandbytes", True), ("brandnew", True)],
)
def test_a_method_that_the_engine_lacks_is_named(method: str, foreign: bool) -> None:
    model = config_json.parse(
        LLAMA | {"quantization_config": {"quant_method": method, "bits": 4}}, Path("x/config.json")
    )
    assert any(f"no quantisation '{method}'" in note for note in model.notes) == foreign


def test_a_quantisation_that_is_no_object_is_a_doubt() -> None:
    model = config_json.parse(LLAMA | {"quantization_config": "awq"}, Path("x/config.json"))
    assert any("quantization_config is no object" in note for note in model.notes)


def test_layers_named_one_by_one_stay_whole_by_their_share() -> None:
    half = [f"model.layers.{place}.self_attn.q_proj" for place in range(16)]
    found = quantised.read({"quantization_config": {"quant_method": "fp8", "ignored_layers": half}}, 32)
    assert found.whole == {"attention": 0.5}


@pytest.mark.parametrize(
    "name", ["lm_head", "model.visual", "re:.*vision_tower.*", "model.layers.0.mlp.gate", "mtp.fc"]
)
def test_what_is_whole_anyway_or_small_changes_nothing(name: str) -> None:
    assert quantised.read({"quantization_config": {"quant_method": "fp8", "ignore": [name]}}, 32).whole == {}


@pytest.mark.parametrize(
    ("settings", "cached"),
    [
        ({"quant_method": "modelopt", "kv_cache_quant_algo": "FP8"}, "fp8"),
        ({"quant_method": "compressed-tensors", "kv_cache_scheme": {"num_bits": 8, "type": "float"}}, "fp8"),
        ({"quant_method": "modelopt", "kv_cache_quant_algo": None}, ""),
        ({"quant_method": "fp8"}, ""),
    ],
)
def test_a_checkpoint_may_ask_for_a_narrow_cache(settings: dict[str, Any], cached: str) -> None:
    assert config_json.parse(LLAMA | {"quantization_config": settings}, Path("x/config.json")).kv_dtype == cached
