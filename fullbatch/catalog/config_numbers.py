"""Checks the numbers of a config.json before anything is computed with them: whole, not negative, not huge.

A key that holds something else is named. A list (one number for each layer, as Gemma 3n has it) is not understood here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fullbatch.core.errors import UsageError

# Every key that is reckoned with here and in `layers`; null is as if it were not there.
_NUMBERS = (
    "num_hidden_layers", "hidden_size", "num_attention_heads", "num_key_value_heads", "head_dim", "vocab_size",
    "intermediate_size", "max_position_embeddings", "original_max_position_embeddings", "kv_lora_rank",
    "qk_rope_head_dim", "sliding_window", "max_window_layers", "num_local_experts", "n_routed_experts",
    "num_experts", "moe_intermediate_size", "n_shared_experts", "shared_expert_intermediate_size",
    "first_k_dense_replace", "attn_layer_period", "attn_layer_offset", "full_attention_interval",
    "mamba_n_heads", "mamba_d_state", "mamba_d_ssm", "mamba_expand", "mamba_n_groups", "mamba_d_conv",
    "mamba_d_head", "mamba_num_heads", "mamba_head_dim", "ssm_state_size", "n_groups", "conv_kernel",
    "linear_num_key_heads", "linear_key_head_dim", "linear_num_value_heads", "linear_value_head_dim",
    "linear_conv_kernel_dim",
)  # fmt: skip
# What no decoder has; beyond it a figure is a mistake, or an attack on whoever reckons with it.
_MOST = 10**9
_MOST_LAYERS = 10**4
_SHOWN = 40


def checked(facts: dict[str, Any], file: Path) -> dict[str, Any]:
    """`facts` with every number whole, null left out; UsageError naming the key that holds none."""
    given = {key: value for key, value in facts.items() if value is not None or key not in _NUMBERS}
    return given | {key: _whole(given[key], key, file) for key in _NUMBERS if key in given}


def positive(facts: dict[str, Any], key: str, file: Path) -> int:
    """A number that has to be there; UsageError naming the key."""
    value = facts.get(key)
    if not isinstance(value, int) or value < 1:
        raise UsageError(f"{file}: {key} is {value!r}; a model with a decoder has a whole number above 0 there")
    return value


def _whole(value: Any, key: str, file: Path) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value) if abs(value) <= _MOST else value
    most = _MOST_LAYERS if key == "num_hidden_layers" else _MOST
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        text = repr(value)
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
        layered = " (one number for each layer is not supported)" if isinstance(value, list) else ""
        raise UsageError(f"{file}: {key} is {shown}; write a whole number from 0 to {most}{layered}")
    return value
