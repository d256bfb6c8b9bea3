"""What each layer of a model keeps in the KV cache, read from its config.json as vLLM 0.32 reads it.

Kinds: attention over everything, over a window, over a compressed latent (MLA), or a state of fixed size (Mamba, linear
attention). Names of keys are those of Hugging Face's configuration classes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

# Every so many layers one looks back over everything (transformers' configuration of each; used where `layer_types` is
# not written down).
_FULL_EVERY = {"gemma2": 2, "gemma3": 6, "gemma3_text": 6, "gpt_oss": 2, "cohere2": 4}
# Of a number of a state: fp32 where the config does not say otherwise, so never too little. A convolution's are 16 bit.
_STATE_NUMBER, _CONVOLUTION_NUMBER = 4, 2


@dataclass(frozen=True)
class Kept:
    """Fields of `catalog.Model` that say what the layers keep; each is explained there."""

    kv_latent: int = 0
    sliding_window: int = 0
    sliding_layers: int = 0
    state_layers: int = 0
    state_bytes: int = 0
    state_blocks: int = 2
    kv_layers: int | None = None


def read(facts: dict[str, Any], layers: int, known: bool = True) -> Kept:
    """What the `layers` of a config keep. Of an architecture that is not `known` no window and no state is believed."""
    found = _states(facts, layers) if known else Kept()
    attention = layers - found.state_layers if found.kv_layers is None else found.kv_layers
    latent = int(facts.get("kv_lora_rank") or 0)
    if latent:
        latent += int(facts.get("qk_rope_head_dim") or 0)
    sliding = _sliding(facts, attention) if known else 0
    window = int(facts["sliding_window"]) if sliding else 0
    return replace(found, kv_latent=latent, sliding_window=window, sliding_layers=sliding)


def kinds(facts: dict[str, Any]) -> list[str]:
    """The kind of each layer where the config lists them."""
    listed = facts.get("layer_types") or facts.get("layers_block_type")
    return [str(kind) for kind in listed] if isinstance(listed, list) else []


def keeps_state(facts: dict[str, Any]) -> bool:
    """Whether some layers keep a state instead of tokens, understood here or not."""
    names = ("mamba_d_state", "ssm_state_size", "linear_num_value_heads", "conv_L_cache", "hybrid_override_pattern")
    listed = any(kind.startswith(("linear", "mamba", "conv", "recurrent")) for kind in kinds(facts))
    return listed or any(facts.get(name) for name in names)


def _sliding(facts: dict[str, Any], attention: int) -> int:
    """Layers of those with attention that keep a window only."""
    if not facts.get("sliding_window") or facts.get("use_sliding_window") is False:
        return 0
    listed = kinds(facts)
    return min(attention, listed.count("sliding_attention") if listed else _sliding_by_pattern(facts, attention))


def _sliding_by_pattern(facts: dict[str, Any], attention: int) -> int:
    every = facts.get("sliding_window_pattern") or _FULL_EVERY.get(str(facts.get("model_type")))
    if isinstance(every, int) and every > 0:
        return attention - attention // every
    if "max_window_layers" in facts:  # Qwen: those from here on
        return max(0, attention - int(facts["max_window_layers"]))
    return attention


def _states(facts: dict[str, Any], layers: int) -> Kept:
    state = _mamba2(facts) or _mamba1(facts) or _delta_net(facts) or _nemotron(facts)
    if state is None:
        return Kept()
    size, blocks = state
    number, attention = (min(layers, found) for found in _placed(facts, layers))
    if not number + attention:  # kinds that nobody knows: every layer keeps every token
        return Kept()
    rest = None if attention == layers - number else attention
    return Kept(state_layers=number, state_bytes=size, state_blocks=blocks, kv_layers=rest)


def _placed(facts: dict[str, Any], layers: int) -> tuple[int, int]:
    """Layers with a state, and layers with attention."""
    listed = kinds(facts)
    pattern = str(facts.get("hybrid_override_pattern") or "")
    if listed:
        attention = sum("attention" in kind and not kind.startswith("linear") for kind in listed)
        return sum(kind.startswith(("mamba", "linear")) for kind in listed), attention
    if pattern:
        return pattern.count("M"), pattern.count("*")
    if facts.get("model_type") == "falcon_h1":  # both in every layer
        return layers, layers
    if facts.get("attn_layer_period"):
        period, offset = int(facts["attn_layer_period"]), int(facts.get("attn_layer_offset") or 0)
        attention = len(range(offset, layers, period))
    elif isinstance(facts.get("attn_layer_indices"), list):
        attention = min(layers, len(facts["attn_layer_indices"]))
    else:
        attention = layers // int(facts.get("full_attention_interval") or layers + 1)
    return layers - attention, attention


State = tuple[int, int] | None


def _mamba2(facts: dict[str, Any]) -> State:
    """Bytes of a state and blocks of it; three, one of them for a checkpoint within a prompt (mamba_mixer2.py)."""
    if not (facts.get("mamba_n_heads") and facts.get("mamba_d_state")):
        return None
    inner = int(facts.get("mamba_d_ssm") or int(facts.get("mamba_expand") or 2) * int(facts["hidden_size"]))
    groups, size = int(facts.get("mamba_n_groups") or 1), int(facts["mamba_d_state"])
    convolution = (int(facts.get("mamba_d_conv") or 4) - 1) * (inner + 2 * groups * size)
    state = int(facts["mamba_n_heads"]) * int(facts.get("mamba_d_head") or 64) * size
    return convolution * _CONVOLUTION_NUMBER + state * _STATE_NUMBER, 3


def _mamba1(facts: dict[str, Any]) -> State:
    if not facts.get("mamba_d_state"):
        return None
    inner = int(facts.get("mamba_expand") or 2) * int(facts["hidden_size"])
    convolution = (int(facts.get("mamba_d_conv") or 4) - 1) * inner
    return convolution * _CONVOLUTION_NUMBER + inner * int(facts["mamba_d_state"]) * _STATE_NUMBER, 2


def _delta_net(facts: dict[str, Any]) -> State:
    if not facts.get("linear_num_value_heads"):
        return None
    keys = int(facts["linear_num_key_heads"]) * int(facts["linear_key_head_dim"])
    values = int(facts["linear_num_value_heads"]) * int(facts["linear_value_head_dim"])
    convolution = (int(facts.get("linear_conv_kernel_dim") or 4) - 1) * (2 * keys + values)
    return convolution * _CONVOLUTION_NUMBER + values * int(facts["linear_key_head_dim"]) * _STATE_NUMBER, 2


def _nemotron(facts: dict[str, Any]) -> State:
    if not (facts.get("mamba_num_heads") and facts.get("ssm_state_size")):
        return None
    inner, size = int(facts["mamba_num_heads"]) * int(facts["mamba_head_dim"]), int(facts["ssm_state_size"])
    convolution = (int(facts.get("conv_kernel") or 4) - 1) * (inner + 2 * int(facts.get("n_groups") or 1) * size)
    return convolution * _CONVOLUTION_NUMBER + inner * size * _STATE_NUMBER, 3
