"""What can draft for a model: a head in its own checkpoint (MTP), or a model made for it (drafts.yaml)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from fullbatch import catalog
from fullbatch.catalog import parameters, quantised
from fullbatch.catalog.config_numbers import number
from fullbatch.catalog.layers import Layer

# Families whose checkpoints have heads that the pinned engine loads (vllm/config/speculative.py, hf_config_override),
# as the decoder's part of a config.json calls them. DeepSeek V4.1 has others; Gemma 4 a model beside it.
_FAMILIES = frozenset(
    """
    deepseek_v3 deepseek_v32 deepseek_v4 glm_moe_dsa glm4_moe glm4_moe_lite glm5_next mimo mimo_v2 ernie4_5_moe
    nemotron_h nemotron_h_puzzle qwen3_next qwen4_exp qwen4_exp_text qwen3_5 qwen3_5_text qwen3_5_moe qwen3_5_moe_text
    exaone_moe longcat_flash step3p5 step3p7 hy_v3 hy_v4 bailing_hybrid pangu_ultra_moe kimi_k3
    """.split()
)
# How many of them a config.json says there are.
_KEYS = ("mtp_num_hidden_layers", "num_nextn_predict_layers")


@dataclass(frozen=True)
class PublishedFigure:
    """Something published about drafting, in a sentence, and where."""

    text: str
    source: str


def head_gib(facts: dict[str, Any], layers: tuple[Layer, ...]) -> float:
    """GiB, at 16 bit, of the head of a model whose config.json says it has one; 0 where it has none.

    One head is loaded: it is run again for each further token.
    """
    if str(facts.get("model_type")) not in _FAMILIES or not any(number(facts, key) for key in _KEYS):
        return 0.0
    return parameters.of_head(facts, layers) * quantised.HALF / 2**30


@cache
def _table() -> dict[str, Any]:
    return catalog.read("drafts.yaml")


def eagle3() -> dict[str, str]:
    """EAGLE3 drafts: model -> the repository of the draft."""
    return dict(_table()["eagle3"]["of"])


def assistants() -> dict[str, str]:
    """Small decoders that read the model's own KV cache: model -> repository."""
    return dict(_table()["assistant"]["of"])


def assistant_gib() -> float:
    """GiB of such a decoder."""
    return float(_table()["assistant"]["gib"])


def tokens(method: str) -> int:
    """Tokens that are drafted ahead where a profile does not say; `method` as a profile calls it, or `assistant`."""
    return int(_table()["assistant"]["tokens"] if method == "assistant" else _table()["tokens"][method])


def figure(name: str) -> PublishedFigure:
    """What is published of `dense`, `experts`, `small` models, under `load`, and of `ngram`."""
    return PublishedFigure(**_table()["figures"][name])
