"""States of each family, bytes worked out by hand from mamba_utils.py's shapes."""

from __future__ import annotations

from typing import Any

import pytest

from fullbatch.catalog import states

GRANITE: dict[str, Any] = {
    "hidden_size": 1536, "mamba_expand": 2, "mamba_n_heads": 48, "mamba_d_head": 64, "mamba_d_state": 128,
    "mamba_n_groups": 1, "mamba_d_conv": 4,
}  # fmt: skip
QWEN35_27B: dict[str, Any] = {
    "hidden_size": 5120, "linear_num_key_heads": 16, "linear_num_value_heads": 48, "linear_key_head_dim": 128,
    "linear_value_head_dim": 128, "linear_conv_kernel_dim": 4,
}  # fmt: skip


def _bytes(facts: dict[str, Any]) -> tuple[int, int]:
    found = states.read(facts)
    assert found is not None
    return found.bytes, found.blocks


def test_mamba_2() -> None:
    assert _bytes(GRANITE) == (3 * (3072 + 2 * 128) * 2 + 48 * 64 * 128 * 4, 3)


def test_mamba_1() -> None:
    assert _bytes({"hidden_size": 4096, "mamba_expand": 2, "mamba_d_state": 16}) == (3 * 8192 * 2 + 8192 * 16 * 4, 2)


def test_a_gated_delta_net_is_what_published_logs_say() -> None:
    """3.06 MiB a layer, 147 MiB for the 48 of Qwen3.5-27B; a drafted token lengthens the convolution."""
    size, blocks = _bytes(QWEN35_27B)
    assert (size, blocks) == (3 * (2 * 2048 + 6144) * 2 + 48 * 128 * 128 * 4, 2)
    assert round(48 * size / 2**20) == 147
    found = states.read(QWEN35_27B)
    assert found is not None
    assert found.draft_bytes == (2 * 2048 + 6144) * 2


def test_a_kimi_delta_net() -> None:
    linear = {"num_heads": 32, "head_dim": 128, "short_conv_kernel_size": 4}
    assert _bytes({"hidden_size": 2304, "linear_attn_config": linear}) == (3 * 3 * 4096 * 2 + 32 * 128 * 128 * 4, 2)


def test_a_short_convolution() -> None:
    assert _bytes({"hidden_size": 2048, "conv_L_cache": 3}) == (2 * 2048 * 2, 2)


def test_a_state_is_as_wide_as_the_config_says() -> None:
    wide, narrow = _bytes(GRANITE)[0], _bytes(GRANITE | {"mamba_ssm_cache_dtype": "bfloat16"})[0]
    assert wide - narrow == 48 * 64 * 128 * 2


def test_a_missing_key_is_named() -> None:
    with pytest.raises(KeyError, match="linear_key_head_dim"):
        states.read({"hidden_size": 1, "linear_num_value_heads": 4})


@pytest.mark.parametrize(("facts", "keeps"), [(GRANITE, True), ({"conv_L_cache": 3}, True), ({}, False)])
def test_states_are_noticed_even_where_their_size_is_not_known(facts: dict[str, Any], keeps: bool) -> None:
    assert states.keeps_any(facts) is keeps


@pytest.mark.parametrize(
    ("facts", "places"),
    [
        ({"attn_layer_period": 4, "attn_layer_offset": 2, "mamba_d_state": 16}, [2, 6]),
        ({"full_attention_interval": 4, "linear_num_value_heads": 8}, [3, 7]),
        ({"full_attn_idxs": [1, 5], "conv_L_cache": 3}, [1, 5]),
        ({"linear_attn_config": {"full_attn_layers": [4, 8]}}, [3, 7]),  # counted from 1
        ({"model_type": "mamba2", "state_size": 128}, []),
    ],
)
def test_places_of_attention(facts: dict[str, Any], places: list[int]) -> None:
    kinds = states.placed(facts, 8)
    assert kinds is not None
    assert [place for place, kind in enumerate(kinds) if kind == "full_attention"] == places
