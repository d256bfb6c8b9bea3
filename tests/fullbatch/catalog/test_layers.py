"""The kind of each layer, as its publisher's config.json, or the class behind it, says."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from fullbatch.catalog import classes, layers

GRANITE_4_TINY: dict[str, Any] = {
    "model_type": "granitemoehybrid", "hidden_size": 1536, "num_attention_heads": 12, "mamba_expand": 2,
    "mamba_n_heads": 48, "mamba_d_head": 64, "mamba_d_state": 128, "mamba_n_groups": 1, "mamba_d_conv": 4,
    "num_hidden_layers": 10, "layer_types": ["mamba"] * 9 + ["attention"],
}  # fmt: skip
PLAIN = {"num_hidden_layers": 26, "hidden_size": 1024, "num_attention_heads": 8}


def _read(**changes: Any) -> tuple[layers.Layer, ...]:
    return layers.read(PLAIN | changes)


def _states(found: tuple[layers.Layer, ...]) -> tuple[int, int]:
    """Layers with a state, and with attention."""
    return sum(layer.state is not None for layer in found), sum(layer.attention is not None for layer in found)


def test_states_beside_attention() -> None:
    assert _states(layers.read(GRANITE_4_TINY)) == (9, 1)


def test_both_in_every_layer() -> None:
    changes = {"model_type": "falcon_h1", "layer_types": None, "mamba_d_ssm": 3072, "num_hidden_layers": 44}
    assert _states(layers.read(GRANITE_4_TINY | changes)) == (44, 44)


def test_listed_places_of_attention() -> None:
    changes = {"layer_types": None, "attn_layer_indices": [9, 18, 27], "num_hidden_layers": 32}
    assert _states(layers.read(GRANITE_4_TINY | changes)) == (29, 3)


def test_each_layer_of_a_pattern_is_one_thing() -> None:
    """Nemotron-H: a state, attention, a feed-forward or experts, never two of them."""
    found = _read(
        model_type="nemotron_h",
        mamba_num_heads=8,
        mamba_head_dim=64,
        ssm_state_size=16,
        hybrid_override_pattern="M-M*E",
    )
    assert [(bool(layer.state), bool(layer.attention), layer.feeds) for layer in found] == [
        (True, False, False), (False, False, True), (True, False, False), (False, True, False), (False, False, True),
    ]  # fmt: skip


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
        ({"model_type": "exaone4", "sliding_window": 4096, "sliding_window_pattern": "LLLG"}, 20),
        ({"model_type": "mimo_v2_flash", "sliding_window": 128, "hybrid_layer_pattern": [0, 1] * 13}, 13),
        ({"model_type": "llama4_text", "sliding_window": None}, 0),
    ],
)
def test_windows_by_the_patterns_of_each_family(facts: dict[str, Any], sliding: int) -> None:
    found = layers.read(classes.completed(PLAIN | facts))
    assert sum(layer.attention is not None and layer.attention.window > 0 for layer in found) == sliding


def test_gemma_4_has_other_heads_where_it_looks_back_over_everything() -> None:
    found = _read(
        model_type="gemma4_text", sliding_window=512, head_dim=256, num_key_value_heads=8, attention_k_eq_v=True,
        num_global_key_value_heads=1, num_hidden_layers=6, layer_types=["sliding_attention"] * 5 + ["full_attention"],
    )  # fmt: skip
    shapes = Counter((one.window, one.kv_heads, one.dim) for layer in found if (one := layer.attention))
    assert shapes == {(512, 8, 256): 5, (0, 1, 512): 1}


def test_the_last_layers_may_keep_nothing_of_their_own() -> None:
    found = _read(num_kv_shared_layers=15)
    assert [layer.attention.stores for layer in found if layer.attention] == [True] * 11 + [False] * 15


def test_heads_may_differ_from_layer_to_layer() -> None:
    found = _read(num_hidden_layers=3, num_key_value_heads=[8, 2, 8], head_dim=64)
    assert [layer.attention.kv_heads for layer in found if layer.attention] == [8, 2, 8]


def test_a_latent_is_rank_and_rope() -> None:
    found = _read(kv_lora_rank=512, qk_rope_head_dim=64)
    assert {layer.attention.latent for layer in found if layer.attention} == {576}


def test_of_what_is_not_believed_only_the_latent_is_taken() -> None:
    found = layers.read(GRANITE_4_TINY | {"kv_lora_rank": 512, "sliding_window": 4096}, believed=False)
    assert _states(found) == (0, 10)
    assert {(one.latent, one.window) for layer in found if (one := layer.attention)} == {(512, 0)}


def test_kinds_that_nobody_knows_are_named() -> None:
    assert layers.unknown_kinds(PLAIN | {"layer_types": ["wonder", "full_attention"]}) == ["wonder"]
    assert layers.unknown_kinds(PLAIN | {"layer_types": ["linear_attention", "conv"]}) == ["conv", "linear_attention"]
    assert layers.unknown_kinds(GRANITE_4_TINY) == []
