"""The layers of a model, one by one, read from its config.json as vLLM 0.32 reads it.

One list feeds both what a request keeps (`kept`) and how many parameters there are (`parameters`). Names of keys are
those of Hugging Face's configuration classes; what a config leaves out `classes` has filled in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fullbatch.catalog import states
from fullbatch.catalog.config_numbers import at, number
from fullbatch.catalog.states import State

# Characters of Nemotron-H's `hybrid_override_pattern`.
_CHARACTERS = {"M": "mamba", "*": "attention", "-": "mlp", "E": "moe"}
# Layers with attention and a state side by side.
_BOTH = ("hybrid", "hybrid_sliding")
# Families of which each layer is a mixer or a feed-forward, not both.
_ONE_OF = ("mlp", "moe")
# Every so many layers one looks back over everything, where neither the config nor its class lists the kinds.
_FULL_EVERY = {"gemma2": 2, "cohere2": 4}


@dataclass(frozen=True)
class Attention:
    """One layer's attention. `dim` of keys, `value_dim` of values; `window`: tokens looked back on, 0 for all.

    `latent`: numbers kept of a token where attention is compressed (MLA), else 0. `index_bytes`: what a sparse
    indexer keeps of a token beside that. `stores`: whether the layer keeps tokens itself, or reads another's.
    `chunked`: it looks back to the beginning of a chunk of `window` tokens.
    """

    heads: int
    kv_heads: int
    dim: int
    value_dim: int
    window: int = 0
    latent: int = 0
    index_bytes: int = 0
    stores: bool = True
    chunked: bool = False


@dataclass(frozen=True)
class Layer:
    """`feeds`: whether it has a feed-forward beside, or instead of, what mixes tokens."""

    attention: Attention | None = None
    state: State | None = None
    feeds: bool = True
    kind: str = ""


def read(facts: dict[str, Any], believed: bool = True) -> tuple[Layer, ...]:
    """Every layer of the decoder described by `facts`, in order; KeyError for a missing key of such layers.

    Of an architecture that is not `believed` no window and no state is: every layer keeps every token.
    """
    total = length(facts)
    if not believed:
        return tuple(Layer(_attention(facts, place, "full_attention")) for place in range(total))
    kinds = _kinds(facts, total)
    state = states.read(facts)
    shared = total - number(facts, "num_kv_shared_layers")
    return tuple(_layer(facts, place, kind, state, place < shared) for place, kind in enumerate(kinds))


def length(facts: dict[str, Any]) -> int:
    """How many layers the decoder has."""
    pattern = facts.get("hybrid_override_pattern")
    if isinstance(pattern, str) and pattern:
        return len(pattern)
    if facts.get("model_type") == "longcat_flash":
        return 2 * (number(facts, "num_layers") or number(facts, "num_hidden_layers") // 2)
    return number(facts, "num_hidden_layers") or len(_listed(facts)) or number(facts, "num_layers")


def unknown_kinds(facts: dict[str, Any]) -> list[str]:
    """Kinds that the config lists and nobody here knows, or whose size nobody knows."""
    kinds, state = set(_kinds(facts, length(facts))), states.read(facts)
    known = {"attention", "full", "sliding", *_ONE_OF} | ({"mamba", "conv", *_BOTH} if state else set())
    strange = {
        kind for kind in kinds - known if not kind.endswith("attention") or (kind.startswith("linear") and not state)
    }
    return sorted(strange)


def _layer(facts: dict[str, Any], place: int, kind: str, state: State | None, stores: bool) -> Layer:
    attends = kind in _BOTH or (kind.endswith("attention") and not kind.startswith("linear")) or kind in (
        "full", "sliding"
    )  # fmt: skip
    if kind in _ONE_OF:
        return Layer(feeds=True, kind=kind)
    alone = any(other in _ONE_OF for other in _listed(facts)) or bool(facts.get("hybrid_override_pattern"))
    feeds = not alone and not states.is_everything(facts)
    attention = _attention(facts, place, kind, stores) if attends else None
    mixes = state if not attends or kind in _BOTH else None
    if attention is None and mixes is None:  # a kind that nobody knows
        attention = _attention(facts, place, "full_attention")
    return Layer(attention, mixes, feeds, kind)


def _attention(facts: dict[str, Any], place: int, kind: str, stores: bool = True) -> Attention:
    windowed = "sliding" in kind
    chunked = kind == "chunked_attention"
    heads, kv_heads, dim, value = _heads(facts, place, windowed)
    window = number(facts, "sliding_window") or number(facts, "sliding_window_size") if windowed else 0
    window = number(facts, "attention_chunk_size") if chunked else window
    latent = number(facts, "kv_lora_rank")
    if latent:
        latent += number(facts, "qk_rope_head_dim")
    indexed = latent and number(facts, "index_head_dim")
    # An FP8 key and its scale for every 128 numbers of it (models/deepseek_v2.py, DeepseekV32IndexerCache).
    index_bytes = number(facts, "index_head_dim") + -(-number(facts, "index_head_dim") // 128) * 4 if indexed else 0
    return Attention(heads, kv_heads, dim, value, window, latent, index_bytes, stores, chunked)


def _heads(facts: dict[str, Any], place: int, windowed: bool) -> tuple[int, int, int, int]:
    """Heads, heads of keys and values, and the numbers of one, in layer `place`."""
    heads = at(facts, "num_attention_heads_per_layer", place) or at(facts, "num_attention_heads", place)
    kv_heads = at(facts, "num_key_value_heads", place) or number(facts, "multi_query_group_num") or heads
    if facts.get("multi_query") and not facts.get("new_decoder_architecture"):
        kv_heads = 1
    kv_heads = number(facts, "num_kv_heads") or number(facts, "num_attention_groups") or kv_heads
    if heads % kv_heads and number(facts, "num_kv_heads"):
        kv_heads = at(facts, "num_key_value_heads", place) or heads
    dim = number(facts, "head_dim") or number(facts, "kv_channels") or number(facts, "attention_head_dim")
    dim = dim or number(facts, "hidden_size") // heads
    value = number(facts, "v_head_dim") or dim
    if windowed and number(facts, "swa_head_dim"):  # MiMo, Step and Inkling name those of the windowed layers
        dim = number(facts, "swa_head_dim")
        value = number(facts, "swa_v_head_dim") or (value if number(facts, "v_head_dim") else dim)
        heads = number(facts, "swa_num_attention_heads") or heads
        kv_heads = number(facts, "swa_num_key_value_heads") or kv_heads
    if not windowed and "gemma4" in str(facts.get("model_type")):  # and Gemma 4 those of the others
        dim = value = number(facts, "global_head_dim") or 512
        if facts.get("attention_k_eq_v"):
            kv_heads = number(facts, "num_global_key_value_heads") or kv_heads
    return heads, kv_heads, dim, value


def _kinds(facts: dict[str, Any], total: int) -> list[str]:
    """The kind of each layer."""
    listed = _listed(facts)
    if listed:
        found = (listed * (-(-total // len(listed))))[:total]
        return found if number(facts, "sliding_window") or number(facts, "sliding_window_size") else [
            kind.replace("sliding_attention", "full_attention") for kind in found
        ]  # fmt: skip
    pattern = facts.get("hybrid_override_pattern")
    if isinstance(pattern, str) and pattern:
        return [_CHARACTERS.get(character, "attention") for character in pattern][:total]
    placed = states.placed(facts, total)
    if placed is not None:
        return placed
    if facts.get("attention_chunk_size") and isinstance(facts.get("no_rope_layers"), list) and facts["no_rope_layers"]:
        return ["chunked_attention" if rope else "full_attention" for rope in facts["no_rope_layers"]][:total]
    return _windowed(facts, total)


def _listed(facts: dict[str, Any]) -> list[str]:
    """The kinds where the config lists them."""
    for key in ("layers_block_type", "layer_types"):
        found = facts.get(key)
        if isinstance(found, list) and found:
            return [str(kind) for kind in found]
    return []


def _windowed(facts: dict[str, Any], total: int) -> list[str]:
    """Kinds of layers that all attend: windows by the pattern of the family."""
    sliding, full = "sliding_attention", "full_attention"
    if isinstance(facts.get("hybrid_layer_pattern"), list):  # MiMo: 1 is a window
        return [sliding if one else full for one in facts["hybrid_layer_pattern"]][:total]
    if not number(facts, "sliding_window") or facts.get("use_sliding_window") is False:
        return [full] * total
    every = facts.get("sliding_window_pattern") or facts.get("global_attn_every_n_layers")
    if isinstance(every, str) and every:  # EXAONE: LLLG
        return [sliding if every[place % len(every)] == "L" else full for place in range(total)]
    every = every or _FULL_EVERY.get(str(facts.get("model_type")))
    if isinstance(every, int) and every > 0:
        return [full if (place + 1) % every == 0 else sliding for place in range(total)]
    repeated = facts.get("layer_pattern")
    if isinstance(repeated, list) and repeated:
        return [repeated[place % len(repeated)] for place in range(total)]
    if facts.get("max_window_layers") is not None:  # Qwen: those from here on
        first = number(facts, "max_window_layers")
        return [sliding if place >= first else full for place in range(total)]
    return [sliding] * total
