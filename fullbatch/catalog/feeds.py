"""The feed-forward of each layer: one of all tokens, or experts of which each token passes through some."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fullbatch.catalog.config_numbers import at, number

# Families whose feed-forward is two matrices: up and down, without a gate.
_PLAIN = frozenset(
    """
    nemotron nemotron_h arcee apertus gpt2 gptj gpt_neox gpt_bigcode bloom opt falcon RefinedWeb RefinedWebModel phi
    starcoder2 jais2 bert roberta xlm-roberta clip_text_model siglip_text_model whisper cosmos3_edge_text
    """.split()
)
# Families whose attention has a gate as wide as its queries.
_GATED = ("qwen3_next", "qwen3_5_text", "qwen3_5_moe_text", "qwen4_exp_text", "step3p5_gated", "afmoe", "solar_open2")
_EXPERTS = ("n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts")


@dataclass(frozen=True)
class Feed:
    """Parameters of one layer's: `dense` of every token, `experts` of some, `passed` of these by one token."""

    dense: int = 0
    experts: int = 0
    passed: int = 0


def gates_attention(facts: dict[str, Any]) -> bool:
    """Whether the queries come with a gate of the same width."""
    return facts.get("model_type") in _GATED or facts.get("attn_output_gate") is True


def has_own_attention(facts: dict[str, Any], shared: set[str]) -> bool:
    """Whether a layer's attention is not one that an earlier layer has already (Zamba 2)."""
    return facts.get("model_type") != "zamba2" or len(shared) < number(facts, "num_mem_blocks")


def experts_of(facts: dict[str, Any]) -> int:
    """How many experts a layer with such chooses from; 0 where it has none."""
    return next((number(facts, name) for name in _EXPERTS if number(facts, name)), 0)


def read(facts: dict[str, Any], place: int, kind: str, shared: set[str]) -> Feed:
    """The feed-forward of layer `place`. `shared`: what an earlier layer has and this one uses too."""
    hidden, matrices = number(facts, "hidden_size"), 2 if facts.get("model_type") in _PLAIN else 3
    if facts.get("model_type") == "zamba2":
        return _of_zamba(facts, kind, shared)
    dense = matrices * hidden * _width(facts, place)
    experts = 0 if kind == "mlp" else experts_of(facts)
    if not experts or not _is_mixture(facts, place, kind):
        return Feed(dense=dense)
    names = ("moe_intermediate_size", "expert_ffn_hidden_size", "intermediate_size")
    width = next((at(facts, name, place) for name in names if at(facts, name, place)), hidden)
    inner = number(facts, "moe_latent_size") or hidden
    each = matrices * inner * width
    chosen = _chosen(facts, place)
    widths = facts.get("moe_intermediate_size")
    if isinstance(widths, list) and len(widths) < number(facts, "num_hidden_layers"):  # ERNIE VL: of words, of images
        each = matrices * inner * sum(widths)
    routed = experts * each
    beside = (
        _shared(facts, width, matrices * hidden) + hidden * experts + (2 * hidden * inner if inner != hidden else 0)
    )
    if facts.get("enable_moe_block"):  # Gemma 4: beside the feed-forward, not instead of it
        beside += dense
    if facts.get("model_type") == "longcat_flash":  # beside the feed-forward
        beside += dense
    return Feed(dense=beside, experts=routed, passed=min(chosen, experts) * each)


def _width(facts: dict[str, Any], place: int) -> int:
    """The inner width of a feed-forward that all tokens pass."""
    hidden = number(facts, "hidden_size")
    names = (
        "dense_intermediate_size",
        "intermediate_size",
        "ffn_hidden_size",
        "n_inner",
        "ffn_dim",
        "shared_intermediate_size",
    )
    width = number(facts, "intermediate_size_mlp") or next(
        (at(facts, name, place) for name in names if at(facts, name, place)), 0
    )
    width = width or 4 * hidden
    if facts.get("block_auto_adjust_ff_dim") and facts.get("model_type") == "lfm2":
        width, step = int(2 * width / 3), number(facts, "block_multiple_of") or 256
        width = step * -(-width // step)
    if facts.get("use_double_wide_mlp") and place >= number(facts, "num_hidden_layers") - number(
        facts, "num_kv_shared_layers"
    ):
        width *= 2
    return width


def _chosen(facts: dict[str, Any], place: int) -> int:
    for name in ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "top_k_experts", "moe_top_k", "moe_k"):
        if at(facts, name, place):
            return at(facts, name, place)
    return 1


def _shared(facts: dict[str, Any], width: int, each: int) -> int:
    """Parameters of the experts that every token passes."""
    for name in (
        "shared_expert_intermediate_size",
        "moe_shared_expert_intermediate_size",
        "share_expert_dim",
        "shared_intermediate_size",
    ):
        if number(facts, name):
            return each * number(facts, name)
    many = next(
        (
            number(facts, name)
            for name in ("n_shared_experts", "num_shared_experts", "num_shared_expert", "moe_num_shared_experts")
            if number(facts, name)
        ),
        0,
    )
    if str(facts.get("model_type")).startswith("llama4"):
        many = 1
    return each * many * width


def _is_mixture(facts: dict[str, Any], place: int, kind: str) -> bool:
    """Whether layer `place` has experts."""
    if kind == "moe":
        return True
    if facts.get("model_type") == "longcat_flash":  # two attentions to one choice of experts
        return place % 2 == 0
    listed = facts.get("mlp_layer_types")
    if isinstance(listed, list) and listed:
        return str(listed[min(place, len(listed) - 1)]) != "dense"
    if "enable_moe_block" in facts:
        return facts["enable_moe_block"] is True
    if place < max(number(facts, "first_k_dense_replace"), number(facts, "num_dense_layers")):
        return False
    if isinstance(facts.get("mlp_only_layers"), list) and place in facts["mlp_only_layers"]:
        return False
    named = _named(facts)
    if named is not None:
        return place in named
    frequency = facts.get("moe_layer_freq")
    if isinstance(frequency, list):
        return bool(frequency[min(place, len(frequency) - 1)]) if frequency else True
    return _every(facts, place)


def _named(facts: dict[str, Any]) -> set[int] | None:
    """Layers with experts where the config names them."""
    found = facts.get("moe_layers", facts.get("moe_layers_enum"))
    if isinstance(found, str) and found:
        return {int(one) for one in found.split(",") if one.strip().isdecimal()}
    return {int(one) for one in found if isinstance(one, int)} if isinstance(found, list) and found else None


def _every(facts: dict[str, Any], place: int) -> bool:
    if number(facts, "interleave_moe_layer_step"):
        return (place + 1) % number(facts, "interleave_moe_layer_step") == 0
    if number(facts, "expert_layer_period"):
        return place % number(facts, "expert_layer_period") == number(facts, "expert_layer_offset")
    if number(facts, "moe_layer_interval"):
        last = number(facts, "moe_layer_end_index") or number(facts, "num_hidden_layers")
        within = number(facts, "moe_layer_start_index") <= place <= last
        return within and (place + 1) % number(facts, "moe_layer_interval") == 0
    step = number(facts, "decoder_sparse_step") or 1
    return (place + 1) % step == 0


def _of_zamba(facts: dict[str, Any], kind: str, shared: set[str]) -> Feed:
    """A few blocks of attention and feed-forward that many layers use, each with an adapter of its own."""
    if kind != "hybrid":
        return Feed()
    hidden, width = number(facts, "hidden_size"), _width(facts, 0)
    adapter = number(facts, "adapter_rank") * (hidden + 2 * width)
    first = len(shared) < number(facts, "num_mem_blocks")
    shared.add(f"block {len(shared)}")
    return Feed(dense=adapter + hidden * hidden + (3 * hidden * width if first else 0))
