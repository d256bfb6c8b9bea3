from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fullbatch import catalog
from fullbatch.catalog import config_json
from fullbatch.core.errors import UsageError
from fullbatch.planning import kvcache
from fullbatch.runtime import tinymodel

# What the published config.json of each says, as far as memory depends on it.
LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256,
    "max_position_embeddings": 131072, "tie_word_embeddings": False,
}  # fmt: skip
DEEPSEEK_V3: dict[str, Any] = {
    "architectures": ["DeepseekV3ForCausalLM"], "hidden_size": 7168, "intermediate_size": 18432,
    "num_hidden_layers": 61, "num_attention_heads": 128, "num_key_value_heads": 128, "vocab_size": 129280,
    "kv_lora_rank": 512, "qk_rope_head_dim": 64, "n_routed_experts": 256, "n_shared_experts": 1,
    "moe_intermediate_size": 2048, "first_k_dense_replace": 3, "max_position_embeddings": 163840,
    "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]},
}  # fmt: skip
MIXTRAL: dict[str, Any] = {
    "architectures": ["MixtralForCausalLM"], "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 32000, "num_local_experts": 8,
    "max_position_embeddings": 32768,
}  # fmt: skip


def _read(tmp_path: Path, data: Any) -> catalog.Model:
    (tmp_path / "config.json").write_text(json.dumps(data), encoding="utf-8")
    return config_json.read(tmp_path)


def _token(model: catalog.Model) -> int:
    return kvcache.bytes_per_token(model, kvcache.Cache())


def test_a_plain_decoder_is_read_as_the_catalog_has_it(tmp_path: Path) -> None:
    read, known = _read(tmp_path, LLAMA), catalog.models()["meta-llama/Llama-3.1-8B-Instruct"]
    for name in ("layers", "hidden", "heads", "kv_heads", "head_dim", "vocab", "native_context", "ffn", "precision"):
        assert getattr(read, name) == getattr(known, name), name
    assert _token(read) == 131_072
    assert read.params_b == pytest.approx(8.03, abs=0.01)
    for precision, gib in known.weights_gib.items():
        assert read.weights_gib[precision] == pytest.approx(gib, rel=0.02)
    assert read.notes == ()


def test_the_tiny_models_own_config(tmp_path: Path) -> None:
    read = _read(tmp_path, tinymodel.CONFIG)
    assert _token(read) == _token(catalog.models()["tiny"])
    assert read.sliding_layers == 0


def test_a_compressed_cache(tmp_path: Path) -> None:
    read = _read(tmp_path, DEEPSEEK_V3)
    assert _token(read) == 61 * (512 + 64) * 2
    assert read.precision == "fp8"
    # Published: 671 billion parameters.
    assert read.params_b == pytest.approx(671, rel=0.03)


def test_all_experts_are_weights(tmp_path: Path) -> None:
    """Published: 46.7 billion."""
    assert _read(tmp_path, MIXTRAL).params_b == pytest.approx(46.7, abs=0.1)


@pytest.mark.parametrize(
    ("changes", "window", "layers"),
    [
        ({"sliding_window": 4096}, 4096, 32),
        ({"sliding_window": 4096, "use_sliding_window": False}, 0, 0),
        ({"sliding_window": None}, 0, 0),
        ({"sliding_window": 512, "sliding_window_pattern": 4}, 512, 24),
        ({"sliding_window": 128, "layer_types": ["sliding_attention", "full_attention"] * 16}, 128, 16),
    ],
)
def test_sliding_windows(tmp_path: Path, changes: dict[str, Any], window: int, layers: int) -> None:
    read = _read(tmp_path, LLAMA | changes)
    assert (max(one.window for one in read.keeps), read.sliding_layers) == (window, layers)
    assert _token(read) == 131_072, "of a token that every layer keeps"


@pytest.mark.parametrize(
    ("settings", "precision"),
    [
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, "int4"),
        ({"quant_method": "gptq", "bits": 8}, "int8"),
        ({"quant_method": "fp8"}, "fp8"),
        ({"quant_method": "compressed-tensors",
          "config_groups": {"group_0": {"weights": {"num_bits": 8, "type": "float"}}}}, "fp8"),
        ({"quant_method": "compressed-tensors",
          "config_groups": {"group_0": {"weights": {"num_bits": 4, "type": "int"}}}}, "int4"),
    ],
)  # fmt: skip
def test_quantised_checkpoints(tmp_path: Path, settings: dict[str, Any], precision: str) -> None:
    assert _read(tmp_path, LLAMA | {"quantization_config": settings}).precision == precision


def test_weights_are_measured_where_they_lie(tmp_path: Path) -> None:
    (tmp_path / "model-00001.safetensors").write_bytes(bytes(3000))
    (tmp_path / "model-00002.safetensors").write_bytes(bytes(1000))
    assert _read(tmp_path, LLAMA).weights_gib["bf16"] == 4000 / 2**30
    for file in tmp_path.glob("*.safetensors"):
        file.unlink()
    index = {"metadata": {"total_size": 9 * 2**30}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    assert _read(tmp_path, LLAMA).weights_gib["bf16"] == 9


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"architectures": ["WonderForCausalLM"]}, "the architecture WonderForCausalLM is not in vLLM 0.32.0's list"),
        ({"architectures": None}, "the architecture (none named) is not in vLLM 0.32.0's list"),
        ({"layer_types": ["wonder"] * 32}, "layers of the kind wonder are not known here"),
        ({"layer_types": ["linear_attention", "full_attention"]}, "layers of the kind linear_attention are not known"),
        ({"quantization_config": {"quant_method": "brandnew"}}, "quantisation 'brandnew' is not known here"),
    ],
)
def test_what_is_not_understood_is_said_and_sized_larger(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    plain, odd = _read(tmp_path, LLAMA), _read(tmp_path, LLAMA | changes)
    assert any(note.startswith(said) for note in odd.notes)
    assert odd.weights_gib["bf16"] > plain.weights_gib["bf16"]
    assert _token(odd) >= _token(plain)


def test_of_what_is_not_understood_no_window_is_believed(tmp_path: Path) -> None:
    odd = _read(tmp_path, LLAMA | {"architectures": ["WonderForCausalLM"], "sliding_window": 512, "mamba_d_state": 16})
    assert (odd.sliding_layers, odd.state_layers, odd.attention_layers) == (0, 0, 32)


def test_a_long_rope_counts_at_what_it_reaches(tmp_path: Path) -> None:
    """Without a length vLLM takes the original one; a plan always gives one, and the engine accepts it."""
    changes = {"rope_scaling": {"type": "longrope"}, "original_max_position_embeddings": 4096}
    assert _read(tmp_path, LLAMA | changes).native_context == 131072


def test_a_vision_models_text_part_is_what_counts(tmp_path: Path) -> None:
    inner = {key: value for key, value in LLAMA.items() if key != "architectures"}
    outer = {"architectures": ["Gemma3ForConditionalGeneration"], "text_config": inner}
    assert _token(_read(tmp_path, outer)) == 131_072


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file or directory; give a model's directory or its config.json"),
        ("{", "not JSON ("),
        ("[]", "not a JSON object; give a model's config.json"),
        ("{}", "hidden_size is None; a model with a decoder has a whole number above 0 there"),
        ("<!doctype html><title>Log in</title>", "a web page, not JSON"),
        ('\ufeff{"hidden_size": 2, "num_attention_heads": 1}', "num_hidden_layers is None; "),
        ('{"num_hidden_layers": 2, "hidden_size": 0, "num_attention_heads": 1}', "hidden_size is 0; "),
    ],
)
def test_a_file_that_is_no_models(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as raised:
        config_json.read(tmp_path)
    assert str(raised.value).startswith(f"{tmp_path}/config.json: ")
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
