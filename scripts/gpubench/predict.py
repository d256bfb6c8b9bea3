"""What each side should reach, said before it is measured: from bytes, bandwidth and a few assumed shares. Pure.

A decoding step reads the weights and the KV cache of its requests once; prompts cost two operations a parameter and a
token. The shares below are assumptions made before the first run; the results beside them may prove them wrong.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from fullbatch import catalog
from fullbatch.catalog import Gpu, Model
from fullbatch.planning.kvcache import BF16_BYTES
from scripts.gpubench.matrix import Load, Side

GIB = 2**30
# Of the data sheet's bandwidth and dense bf16 rate; seconds a step costs whatever is in it.
VLLM_BANDWIDTH, VLLM_MATRIX, VLLM_STEP_S = 0.75, 0.40, 0.0015
EAGER_LAYER_S = 0.00025
LLAMA_BANDWIDTH, LLAMA_MATRIX, LLAMA_STEP_S = 0.50, 0.15, 0.0010
# llama.cpp's 4-bit matrices, 50 rows at once: how many times the step of one row.
LLAMA_WIDE_STEP = 4.0
Q4_BITS = 4.9
FRONT_END_S = 0.008
MATRIX_FLOPS = {"h100": 989e12, "h200": 989e12}


@dataclass(frozen=True)
class Prediction:
    """Milliseconds to the first token (median of those released together), between tokens; seconds for all answers."""

    ttft_p50_ms: float
    itl_p50_ms: float
    total_time_s: float
    output_tokens_per_s: float

    def as_json(self) -> dict[str, float]:
        return {name: round(value, 3) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Served:
    """A model on a card, by one side; `seats`: requests at most in a step."""

    model: Model
    gpu: Gpu
    side: Side
    seats: int


def predict(served: Served, load: Load, users: int) -> Prediction:
    """For `users` requests released together. More than `seats` go one after the other."""
    at_once = min(users, served.seats)
    context = load.prompt_tokens + load.output_tokens / 2
    step, prefill = _step_s(served, at_once, context), _prefill_s(served, load.prompt_tokens)
    rounds = -(-users * load.requests_per_user // at_once)
    one_round = FRONT_END_S + at_once * prefill + (load.output_tokens - 1) * step
    first = FRONT_END_S + (at_once + 1) / 2 * prefill + step + (rounds - 1) / 2 * one_round
    total = rounds * one_round
    tokens = users * load.requests_per_user * load.output_tokens
    return Prediction(first * 1000, step * 1000, total, tokens / total)


def kv_bytes(model: Model) -> int:
    """Bytes of a token's keys and values in 16 bit."""
    return 2 * model.attention_layers * model.kv_heads * model.head_dim * BF16_BYTES


def floor_s(model: Model, bandwidth_gbs: float, requests: int, context: float) -> float:
    """The least seconds of a decoding step in 16 bit: every byte it must read, at the bandwidth given."""
    return (model.weights_gib["bf16"] * GIB + requests * context * kv_bytes(model)) / (bandwidth_gbs * 1e9)


def _step_s(served: Served, at_once: int, context: float) -> float:
    model, bandwidth = served.model, served.gpu.bandwidth_gbs * 1e9
    held = at_once * context * kv_bytes(model)
    if served.side.is_llama:
        wide = 1 + (LLAMA_WIDE_STEP - 1) * min(1.0, (at_once - 1) / 49)
        return LLAMA_STEP_S + (_quantised_bytes(model) * wide + held) / (bandwidth * LLAMA_BANDWIDTH)
    eager = model.layers * EAGER_LAYER_S if served.side.args.get("enforce-eager") else 0.0
    return VLLM_STEP_S + eager + (model.weights_gib["bf16"] * GIB + held) / (bandwidth * VLLM_BANDWIDTH)


def _prefill_s(served: Served, tokens: int) -> float:
    share = LLAMA_MATRIX if served.side.is_llama else VLLM_MATRIX
    return 2 * served.model.params_b * 1e9 * tokens / (MATRIX_FLOPS[served.gpu.name] * share)


def _quantised_bytes(model: Model) -> float:
    return model.params_b * 1e9 * Q4_BITS / 8


def card_named(name: str) -> Gpu | None:
    """The card of the catalog that the driver's name means; None when it is not there."""
    plain = name.lower().replace("nvidia", "").replace("geforce", "").replace("-", "").replace(" ", "")
    found = [key for key in catalog.gpus() if plain.startswith(key.split("-")[0])]
    # The longest: an L40S is no L4.
    return catalog.gpus()[max(found, key=len)] if found else None
