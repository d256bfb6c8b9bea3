"""What sees and hears beside the decoder: transformers over patches and frames, and what joins them to it.

By one formula, so near and not exact; the tower is a small part of any model that is served for text.
"""

from __future__ import annotations

from typing import Any

from fullbatch.catalog.config_numbers import number

_PARTS = ("vision_config", "audio_config", "encoder_config", "visual_config", "vit_config", "audio_tower_config")
_LAYERS = ("num_hidden_layers", "depth", "encoder_layers", "num_layers", "layers")
_WIDTHS = ("embed_dim", "hidden_size", "d_model", "hidden_dim", "width")
_INNER = ("intermediate_size", "encoder_ffn_dim", "ffn_dim")
# Towers whose feed-forward has a gate.
_GLM = ("glm4v", "glm_ocr", "glm5_next")
_GATED = ("pixtral", "qwen2_5_vl", "gemma4_vision", *_GLM)


def count(whole: dict[str, Any], hidden: int) -> int:
    """Parameters of all towers of a model whose decoder is `hidden` wide; 0 where it has none."""
    parts = [whole[name] for name in _PARTS if isinstance(whole.get(name), dict)]
    return sum(_tower(part, hidden) for part in parts)


def table(facts: dict[str, Any]) -> int:
    """Parameters of a table of n-grams, which the engine keeps in the host's memory by default (config/engram.py)."""
    return (
        number(facts, "ngram_vocab_size_base") * number(facts, "hidden_size")
        if facts.get("ngram_vocab_size_base")
        else 0
    )


def _tower(facts: dict[str, Any], hidden: int) -> int:
    layers, width, inner = (_first(facts, names) for names in (_LAYERS, _WIDTHS, _INNER))
    if number(facts, "conf_num_hidden_layers"):  # Gemma 3n hears with a conformer
        return number(facts, "conf_num_hidden_layers") * 24 * width * width
    if "mobilenetv5_300m" in str(facts.get("architecture")):  # and sees with a convolution of that size
        return 300_000_000
    if not (layers and width):
        return 0
    named = str(facts.get("model_type"))
    inner = inner or int(width * float(facts.get("mlp_ratio") or 4))
    outer = number(facts, "out_hidden_size") or hidden
    joined = _joined(facts, width, outer)
    if named.startswith(_GLM):  # the width of the feed-forward is that of what joins
        joined = outer * outer + 3 * outer * inner + 4 * width * outer
        inner = outer if "ocr" not in named else inner
    matrices = 3 if named.startswith(_GATED) else 2
    blocks = layers * (4 * width * width + matrices * width * inner)
    patch = _first(facts, ("patch_size", "spatial_patch_size"))
    seen = patch * patch * 3 * (number(facts, "temporal_patch_size") or 1) * width
    image = 0 if named in ("pixtral", "glm4v_vision", "glm4v_moe_vision") else number(facts, "image_size")
    places = number(facts, "num_position_embeddings") or ((image // patch) ** 2 if image and patch else 0)
    return blocks + seen + places * width + joined


def _joined(facts: dict[str, Any], width: int, outer: int) -> int:
    """From what is seen to the decoder: several patches made one, twice where the first layers are joined too."""
    side = number(facts, "spatial_merge_size")
    if not side:
        return width * outer
    merged = width * side * side
    return (merged * merged + merged * outer) * (1 + len(facts.get("deepstack_visual_indexes") or []))


def _first(facts: dict[str, Any], names: tuple[str, ...]) -> int:
    return next((number(facts, name) for name in names if number(facts, name)), 0)
