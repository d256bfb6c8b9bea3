"""Layers that keep a state of fixed size for a request instead of its tokens: Mamba, gated delta nets, convolutions.

Shapes as vllm/model_executor/layers/mamba/mamba_utils.py has them, where each family's `bytes` and parameters follow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fullbatch.catalog.config_numbers import number

# Bytes of a number: of a convolution 16 bit, of a state what the config says, else as much as any has.
_SHORT, _LONG = 2, 4
_BY_NAME = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True)
class State:
    """`bytes` of one layer's state on one card, `draft_bytes` more of it for each token that is drafted ahead;
    `blocks` of it for a request while prefixes are cached (one of three is a checkpoint within a prompt,
    mamba_mixer2.py). `parameters` of what reads and writes it."""

    bytes: int
    draft_bytes: int
    blocks: int
    parameters: int


def read(facts: dict[str, Any]) -> State | None:
    """The state of the layers that have one; None where the config describes none, KeyError for a missing key."""
    for kind in (_kda, _lightning, _nemotron, _mamba2, _delta_net, _mamba1, _convolution):
        found = kind(facts)
        if found is not None:
            return found
    return None


def keeps_any(facts: dict[str, Any]) -> bool:
    """Whether a config speaks of states, understood here or not."""
    names = (
        "mamba_d_state",
        "ssm_state_size",
        "state_size",
        "linear_num_value_heads",
        "conv_L_cache",
        "linear_attn_config",
    )
    return any(facts.get(name) for name in names) or facts.get("model_type") == "olmo_hybrid"


def is_everything(facts: dict[str, Any]) -> bool:
    """Whether layers are a state and nothing else: a Mamba model has no feed-forward."""
    return facts.get("model_type") in ("mamba", "mamba2", "falcon_mamba")


def placed(facts: dict[str, Any], total: int) -> list[str] | None:
    """The kind of each layer where the config gives it by place; None where it says nothing of states."""
    if not keeps_any(facts):
        return None
    state, attention = "linear_attention", "full_attention"
    if facts.get("model_type") == "falcon_h1":
        return ["hybrid"] * total
    if is_everything(facts):
        return [state] * total
    found = _indices(facts, total)
    if found is not None:
        return [attention if place in found else state for place in range(total)]
    repeated = facts.get("layer_pattern")
    if isinstance(repeated, list) and repeated:
        return [repeated[place % len(repeated)] for place in range(total)]
    return None


def _indices(facts: dict[str, Any], total: int) -> set[int] | None:
    """Layers with attention."""
    linear = facts.get("linear_attn_config")
    if isinstance(linear, dict) and isinstance(linear.get("full_attn_layers"), list):
        return {int(place) - 1 for place in linear["full_attn_layers"]}  # counted from 1
    for key in ("attn_layer_indices", "full_attn_idxs", "hybrid_layer_ids"):
        if isinstance(facts.get(key), list):
            return {int(place) for place in facts[key]}
    if number(facts, "attn_layer_period"):
        period, offset = number(facts, "attn_layer_period"), number(facts, "attn_layer_offset")
        return set(range(offset, total, period))
    every = number(facts, "full_attention_interval")
    return set(range(every - 1, total, every)) if every else None


def _state(facts: dict[str, Any], convolved: tuple[int, int], numbers: int, blocks: int, parameters: int) -> State:
    """Of a convolution over so many channels and steps, and a state of `numbers`."""
    convolution, kernel = convolved
    said = facts.get("mamba_ssm_dtype") or facts.get("mamba_ssm_cache_dtype") or ""
    size = _BY_NAME.get(str(said), _LONG)
    return State((kernel - 1) * convolution * _SHORT + numbers * size, convolution * _SHORT, blocks, parameters)


def _mamba2(facts: dict[str, Any]) -> State | None:
    heads, size = number(facts, "mamba_n_heads") or number(facts, "n_mamba_heads"), number(facts, "mamba_d_state")
    if facts.get("model_type") == "mamba2":
        heads, size = number(facts, "num_heads"), number(facts, "state_size")
    if not (heads and size):
        return None
    hidden, dim = number(facts, "hidden_size"), number(facts, "mamba_d_head") or number(facts, "head_dim") or 64
    expand = number(facts, "mamba_expand") or number(facts, "expand") or 2
    inner = number(facts, "mamba_d_ssm") or expand * hidden
    if facts.get("model_type") == "zamba2":
        dim = inner // heads
    groups = number(facts, "mamba_n_groups") or number(facts, "mamba_ngroups") or number(facts, "n_groups") or 1
    kernel = number(facts, "mamba_d_conv") or number(facts, "conv_kernel") or 4
    return _second(facts, (heads, dim, size), inner, inner + 2 * groups * size, kernel)


def _nemotron(facts: dict[str, Any]) -> State | None:
    if not (facts.get("mamba_num_heads") and facts.get("ssm_state_size")):
        return None
    heads, dim, size = number(facts, "mamba_num_heads"), facts["mamba_head_dim"], number(facts, "ssm_state_size")
    groups, kernel = number(facts, "n_groups") or 1, number(facts, "conv_kernel") or 4
    return _second(facts, (heads, dim, size), heads * dim, heads * dim + 2 * groups * size, kernel)


def _second(facts: dict[str, Any], shape: tuple[int, int, int], inner: int, channels: int, kernel: int) -> State:
    """Mamba 2's, whose state has the `shape` heads x numbers of one x size."""
    heads, dim, size = shape
    hidden = number(facts, "hidden_size")
    parameters = hidden * (inner + channels + heads) + channels * (kernel + 1) + inner * (hidden + 1) + 3 * heads
    return _state(facts, (channels, kernel), heads * dim * size, 3, parameters)


def _mamba1(facts: dict[str, Any]) -> State | None:
    size = number(facts, "mamba_d_state") or number(facts, "state_size")
    if not size:
        return None
    hidden = number(facts, "hidden_size")
    inner = (number(facts, "mamba_expand") or number(facts, "expand") or 2) * hidden
    rank = number(facts, "mamba_dt_rank") or number(facts, "time_step_rank") or -(-hidden // 16)
    kernel = number(facts, "mamba_d_conv") or number(facts, "conv_kernel") or 4
    parameters = 3 * hidden * inner + inner * (kernel + rank + 2 * size + rank + size + 3)
    return _state(facts, (inner, kernel), inner * size, 2, parameters)


def _delta_net(facts: dict[str, Any]) -> State | None:
    heads = number(facts, "linear_num_value_heads")
    if not heads and facts.get("model_type") == "olmo_hybrid":
        return _delta_net(facts | _of_olmo(facts))
    if not heads:
        return None
    hidden, key_dim = number(facts, "hidden_size"), facts["linear_key_head_dim"]
    keys, values = facts["linear_num_key_heads"] * key_dim, heads * facts["linear_value_head_dim"]
    channels, kernel = 2 * keys + values, number(facts, "linear_conv_kernel_dim") or 4
    parameters = hidden * (2 * keys + 3 * values + 2 * heads) + channels * kernel + 2 * heads
    return _state(facts, (channels, kernel), values * key_dim, 2, parameters)


def _of_olmo(facts: dict[str, Any]) -> dict[str, int]:
    """What OLMo's hybrid derives where its config says nothing."""
    heads = number(facts, "num_attention_heads")
    dim = int(0.75 * number(facts, "hidden_size") / heads)
    return {"linear_num_key_heads": heads, "linear_num_value_heads": heads, "linear_key_head_dim": dim,
            "linear_value_head_dim": 2 * dim}  # fmt: skip


def _kda(facts: dict[str, Any]) -> State | None:
    """Kimi's delta attention; GLM 5 Next has it with names of its own."""
    linear = facts.get("linear_attn_config")
    own = linear if isinstance(linear, dict) else {}
    heads = number(own, "num_heads") or number(facts, "linear_num_heads")
    dim = number(own, "head_dim") or number(facts, "linear_head_dim")
    if not (heads and dim):
        return None
    hidden, inner = number(facts, "hidden_size"), heads * dim
    kernel = number(own, "short_conv_kernel_size") or number(facts, "linear_conv_kernel_dim") or 4
    gates = 2 * dim * (hidden + inner) + hidden * heads + inner + heads
    parameters = 4 * hidden * inner + 3 * inner * kernel + gates
    return _state(facts, (3 * inner, kernel), inner * dim, 2, parameters)


def _lightning(facts: dict[str, Any]) -> State | None:
    """MiniMax's linear attention keeps a square of each head, and no convolution."""
    if facts.get("model_type") != "minimax":
        return None
    heads, hidden = number(facts, "num_attention_heads"), number(facts, "hidden_size")
    dim = number(facts, "head_dim") or hidden // heads
    return _state(facts, (0, 1), heads * dim * dim, 2, 5 * hidden * heads * dim)


def _convolution(facts: dict[str, Any]) -> State | None:
    kernel = number(facts, "conv_L_cache")
    if not kernel:
        return None
    width = number(facts, "hidden_size")
    return _state(facts, (width, kernel), 0, 2, 4 * width * width + width * kernel)
