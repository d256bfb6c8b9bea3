"""Checks the numbers of a config.json before anything is computed with them: whole, not negative, not huge.

A key that holds something else is named. A list (one number for each layer, as Gemma 3n has it) is read by `at`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeGuard

from fullbatch.core.errors import UsageError

# Every key that is reckoned with, here and in what reads layers and parameters; null is as if it were not there.
NUMBERS = frozenset(
    """
    num_hidden_layers hidden_size num_attention_heads num_key_value_heads head_dim vocab_size intermediate_size
    max_position_embeddings original_max_position_embeddings kv_lora_rank q_lora_rank qk_rope_head_dim qk_nope_head_dim
    v_head_dim sliding_window sliding_window_size attention_chunk_size max_window_layers num_local_experts
    n_routed_experts num_experts moe_num_experts moe_intermediate_size n_shared_experts num_shared_experts
    shared_expert_intermediate_size moe_shared_expert_intermediate_size shared_intermediate_size moe_latent_size
    expert_ffn_hidden_size ffn_hidden_size dense_intermediate_size intermediate_size_mlp first_k_dense_replace
    num_dense_layers decoder_sparse_step interleave_moe_layer_step expert_layer_period expert_layer_offset
    moe_layer_interval moe_layer_start_index moe_layer_end_index moe_num_shared_experts attn_layer_period
    attn_layer_offset full_attention_interval mamba_n_heads n_mamba_heads mamba_d_state mamba_d_ssm mamba_expand
    mamba_n_groups mamba_ngroups mamba_d_conv mamba_d_head mamba_num_heads mamba_head_dim mamba_dt_rank ssm_state_size
    state_size time_step_rank n_groups conv_kernel expand linear_num_key_heads linear_key_head_dim
    linear_num_value_heads linear_value_head_dim linear_conv_kernel_dim linear_num_heads linear_head_dim conv_L_cache
    num_kv_shared_layers hidden_size_per_layer_input vocab_size_per_layer_input global_head_dim
    num_global_key_value_heads swa_head_dim swa_v_head_dim swa_num_attention_heads swa_num_key_value_heads
    index_head_dim index_n_heads multi_query_group_num num_kv_heads kv_channels attention_head_dim
    num_attention_groups num_attention_heads_per_layer
    """.split()
)
# What some families give as a list, a number for each layer.
_LISTS = frozenset(
    """
    intermediate_size num_key_value_heads num_attention_heads num_attention_heads_per_layer sliding_window num_experts
    num_local_experts n_routed_experts moe_intermediate_size moe_num_experts
    """.split()
)
# What no decoder has; beyond it a figure is a mistake, or an attack on whoever reckons with it.
_MOST = 10**9
_MOST_LAYERS = 10**4
_SHOWN = 40


def checked(facts: dict[str, Any], file: Path) -> dict[str, Any]:
    """`facts` with every number whole, null left out; UsageError naming the key that holds none."""
    given = {key: value for key, value in facts.items() if value is not None or key not in NUMBERS}
    return given | {key: _whole(given[key], key, file) for key in NUMBERS if key in given}


def positive(facts: dict[str, Any], key: str, file: Path) -> int:
    """A number that has to be there; UsageError naming the key."""
    value = at(facts, key, 0)
    if value < 1:
        raise UsageError(
            f"{file}: {key} is {facts.get(key)!r}; a model with a decoder has a whole number above 0 there"
        )
    return value


def number(facts: dict[str, Any], key: str) -> int:
    """A number of checked facts, of a list its largest; 0 where there is none."""
    value = facts.get(key)
    if isinstance(value, list):
        return max((one for one in value if _is_number(one)), default=0)
    return value if _is_number(value) else 0


def at(facts: dict[str, Any], key: str, place: int) -> int:
    """The number of layer `place`, where a list has one for each; 0 where there is none."""
    value = facts.get(key)
    if isinstance(value, list):
        value = value[min(place, len(value) - 1)] if value else 0
    return value if _is_number(value) else 0


def _is_number(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _whole(value: Any, key: str, file: Path) -> Any:
    if isinstance(value, list) and key in _LISTS:
        return [0 if one is None else _whole(one, key, file) for one in value[:_MOST_LAYERS]]
    if isinstance(value, float) and value.is_integer():
        value = int(value) if abs(value) <= _MOST else value
    if value is False and key in ("sliding_window", "mamba_dt_rank"):  # some write "none" so
        return 0
    if key in ("mamba_dt_rank", "time_step_rank") and value == "auto":
        return 0
    if value == -1 and key in ("moe_layer_end_index", "sliding_window"):  # the last, none
        return 0
    most = _MOST_LAYERS if key == "num_hidden_layers" else _MOST
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        text = repr(value)
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
        layered = " (one number for each layer is not supported)" if isinstance(value, list) else ""
        raise UsageError(f"{file}: {key} is {shown}; write a whole number from 0 to {most}{layered}")
    return value
