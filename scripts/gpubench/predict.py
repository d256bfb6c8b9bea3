"""What each side should reach, said before it is measured: from bytes, bandwidth and a few assumed shares. Pure.

A decoding step reads the weights and the KV cache of its requests once; prompts cost two operations a parameter and a
token. The shares below were fitted on cells of 2026-11-30 (vLLM 0.32.0, an H200: Llama 3.1 8B in bf16 and FP8, Qwen2.5
1.5B in bf16, 128 + 128 tokens, 1 to 50 users; llama.cpp of the same day); every other cell is held out of the fit.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from fullbatch import catalog
from fullbatch.catalog import Gpu, Model
from fullbatch.planning.kvcache import BF16_BYTES
from scripts.gpubench.matrix import Load, Side

GIB = 2**30
# Of the data sheet's bandwidth, by precision (4 bit: Machete's kernels), and of its dense bf16 rate, in which FP8 is
# faster by so much; seconds a step costs whatever is in it, and for each request in it.
VLLM_BANDWIDTH = {"bf16": 0.98, "fp8": 0.98, "int4": 0.50}
VLLM_MATRIX, FP8_MATRIX_GAIN, VLLM_STEP_S, VLLM_ROW_S = 0.61, 1.6, 0.0014, 0.000018
EAGER_LAYER_S = 0.00036
LLAMA_BANDWIDTH, LLAMA_MATRIX, LLAMA_STEP_S = 0.30, 0.063, 0.0010
# llama.cpp's 4-bit matrices: what each further row of a step costs, in readings of the weights at full bandwidth.
LLAMA_ROW_READINGS = 0.73
Q4_BITS = 4.9
# vLLM's API server: before a request's first step, more where others run already, and for each that came before it.
FRONT_END_S, BUSY_S, ADMIT_S = 0.0145, 0.012, 0.0031
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

    @property
    def weights_gib(self) -> float:
        """Of the checkpoint, in the side's precision."""
        return self.model.weights_gib[self.side.precision]


def predict(served: Served, load: Load, users: int) -> Prediction:
    """For `users` requests released together. More than `seats` go one after the other."""
    at_once = min(users, served.seats)
    context = load.prompt_tokens + load.output_tokens / 2
    step = _step_s(served, at_once, context)
    rounds = -(-users * load.requests_per_user // at_once)
    one_round = _first_token_s(served, load, at_once - 1) + (load.output_tokens - 1) * step
    first = _first_token_s(served, load, (at_once - 1) / 2) + (rounds - 1) / 2 * one_round
    total = rounds * one_round
    tokens = users * load.requests_per_user * load.output_tokens
    return Prediction(first * 1000, step * 1000, total, tokens / total)


def kv_bytes(model: Model) -> int:
    """Bytes of a token's keys and values in 16 bit."""
    return 2 * model.attention_layers * model.kv_heads * model.head_dim * BF16_BYTES


def floor_s(model: Model, precision: str, bandwidth_gbs: float, requests: int, context: float) -> float:
    """The least seconds of a decoding step: every byte of weights and KV cache it must read, at the bandwidth given."""
    return (model.weights_gib[precision] * GIB + requests * context * kv_bytes(model)) / (bandwidth_gbs * 1e9)


def _first_token_s(served: Served, load: Load, before: float) -> float:
    """Seconds to the first token of a request that `before` others came ahead of, at the same moment."""
    own, step = _prefill_s(served, load.prompt_tokens), _step_s(served, 1, load.prompt_tokens)
    if served.side.is_llama:
        return FRONT_END_S + (before + 1) * own + step
    # The API server and the card work side by side: the slower of the two sets the pace, the other adds a little.
    waited = math.hypot(before * ADMIT_S, before * own)
    return FRONT_END_S + (BUSY_S if before else 0.0) + max(step, own + VLLM_STEP_S) + waited


def _step_s(served: Served, at_once: int, context: float) -> float:
    model, bandwidth = served.model, served.gpu.bandwidth_gbs * 1e9
    held = at_once * context * kv_bytes(model)
    if served.side.is_llama:
        readings = 1 / LLAMA_BANDWIDTH + LLAMA_ROW_READINGS * (at_once - 1)
        return LLAMA_STEP_S + (_quantised_bytes(model) * readings + held / LLAMA_BANDWIDTH) / bandwidth
    eager = model.layers * EAGER_LAYER_S if served.side.args.get("enforce-eager") else 0.0
    read = served.weights_gib * GIB / VLLM_BANDWIDTH[served.side.precision] + held / VLLM_BANDWIDTH["bf16"]
    return VLLM_STEP_S + VLLM_ROW_S * at_once + eager + read / bandwidth


def _prefill_s(served: Served, tokens: int) -> float:
    share = LLAMA_MATRIX if served.side.is_llama else VLLM_MATRIX
    if served.side.precision == "fp8":
        share *= FP8_MATRIX_GAIN
    return 2 * served.model.params_b * 1e9 * tokens / (MATRIX_FLOPS[served.gpu.name] * share)


def _quantised_bytes(model: Model) -> float:
    return model.params_b * 1e9 * Q4_BITS / 8


def card_named(name: str) -> Gpu | None:
    """The card of the catalog that the driver's name means; None when it is not there."""
    plain = name.lower().replace("nvidia", "").replace("geforce", "").replace("-", "").replace(" ", "")
    found = [key for key in catalog.gpus() if plain.startswith(key.split("-")[0])]
    # The longest: an L40S is no L4.
    return catalog.gpus()[max(found, key=len)] if found else None
