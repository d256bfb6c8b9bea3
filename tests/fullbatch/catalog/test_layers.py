"""Each family's config.json, as its publisher writes it as far as the cache depends on it; bytes worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from fullbatch.catalog import layers
from fullbatch.catalog.layers import Kept

GRANITE_4_TINY: dict[str, Any] = {
    "model_type": "granitemoehybrid", "hidden_size": 1536, "mamba_expand": 2, "mamba_n_heads": 48, "mamba_d_head": 64,
    "mamba_d_state": 128, "mamba_n_groups": 1, "mamba_d_conv": 4,
    "layer_types": ["mamba"] * 9 + ["attention"],
}  # fmt: skip
JAMBA: dict[str, Any] = {
    "model_type": "jamba", "hidden_size": 4096, "mamba_expand": 2, "mamba_d_state": 16, "mamba_d_conv": 4,
    "attn_layer_period": 8, "attn_layer_offset": 4,
}  # fmt: skip
QWEN3_NEXT: dict[str, Any] = {
    "model_type": "qwen3_next", "hidden_size": 2048, "linear_num_key_heads": 16, "linear_num_value_heads": 32,
    "linear_key_head_dim": 128, "linear_value_head_dim": 128, "linear_conv_kernel_dim": 4,
    "full_attention_interval": 4,
}  # fmt: skip
NEMOTRON_H: dict[str, Any] = {
    "model_type": "nemotron_h", "hidden_size": 4096, "mamba_num_heads": 128, "mamba_head_dim": 64,
    "ssm_state_size": 128, "n_groups": 8, "conv_kernel": 4, "hybrid_override_pattern": "M-M-M-M*-M",
}  # fmt: skip


def test_mamba_2_beside_attention() -> None:
    size = 3 * (3072 + 2 * 128) * 2 + 48 * 64 * 128 * 4
    assert layers.read(GRANITE_4_TINY, 10) == Kept(state_layers=9, state_bytes=size, state_blocks=3)


def test_mamba_1_every_eighth_layer_with_attention() -> None:
    size = 3 * 8192 * 2 + 8192 * 16 * 4
    assert layers.read(JAMBA, 32) == Kept(state_layers=28, state_bytes=size, state_blocks=2)


def test_linear_attention_three_of_four_layers() -> None:
    size = 3 * (2 * 2048 + 4096) * 2 + 4096 * 128 * 4
    assert layers.read(QWEN3_NEXT, 48) == Kept(state_layers=36, state_bytes=size, state_blocks=2)


def test_layers_with_neither_attention_nor_state_keep_nothing() -> None:
    found = layers.read(NEMOTRON_H, 10)
    assert (found.state_layers, found.kv_layers) == (5, 1)


def test_both_in_every_layer() -> None:
    found = layers.read(GRANITE_4_TINY | {"model_type": "falcon_h1", "layer_types": None, "mamba_d_ssm": 3072}, 44)
    assert (found.state_layers, found.kv_layers) == (44, 44)


def test_listed_places_of_attention() -> None:
    found = layers.read(GRANITE_4_TINY | {"layer_types": None, "attn_layer_indices": [9, 18, 27]}, 32)
    assert (found.state_layers, found.kv_layers) == (29, None)


@pytest.mark.parametrize(
    ("facts", "sliding"),
    [
        ({"model_type": "gemma2", "sliding_window": 4096}, 13),
        ({"model_type": "gemma3_text", "sliding_window": 512}, 22),
        ({"model_type": "phi3", "sliding_window": 2047}, 26),
        ({"model_type": "qwen2", "sliding_window": 4096, "max_window_layers": 20, "use_sliding_window": True}, 6),
        ({"model_type": "qwen2", "sliding_window": 4096, "max_window_layers": 20, "use_sliding_window": False}, 0),
        ({"model_type": "mistral", "sliding_window": None}, 0),
        ({"model_type": "cohere2", "sliding_window": 4096, "sliding_window_pattern": 2}, 13),
    ],
)
def test_windows_by_the_patterns_of_each_family(facts: dict[str, Any], sliding: int) -> None:
    assert layers.read(facts, 26).sliding_layers == sliding


def test_a_latent_is_rank_and_rope() -> None:
    assert layers.read({"kv_lora_rank": 512, "qk_rope_head_dim": 64}, 61).kv_latent == 576


def test_of_an_unknown_architecture_only_the_latent_is_believed() -> None:
    facts = GRANITE_4_TINY | {"kv_lora_rank": 512, "sliding_window": 4096}
    assert layers.read(facts, 10, known=False) == Kept(kv_latent=512)


@pytest.mark.parametrize(
    ("facts", "keeps"),
    [(GRANITE_4_TINY, True), (NEMOTRON_H, True), ({"layer_types": ["conv", "full_attention"]}, True), ({}, False)],
)
def test_states_are_noticed_even_where_their_size_is_not_known(facts: dict[str, Any], keeps: bool) -> None:
    assert layers.keeps_state(facts) is keeps
