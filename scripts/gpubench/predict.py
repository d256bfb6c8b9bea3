"""What each side should reach, said before it is measured. Pure.

vLLM's sides are simulated (fullbatch/simulate) with step times that are reckoned for the card. llama.cpp's follow from
bytes, bandwidth and a few assumed shares, which were fitted on cells of 2026-11-30 (an H200: Llama 3.1 8B, 128 + 128
tokens, 1 to 50 users).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from fullbatch import catalog
from fullbatch.catalog import Gpu, Model
from fullbatch.planning.engine_plan import EnginePlan
from fullbatch.planning.kvcache import BF16_BYTES
from fullbatch.simulate import figures, known
from fullbatch.simulate.load import closed
from fullbatch.simulate.run import simulate
from scripts.gpubench.matrix import Load, Side

GIB = 2**30
# Without CUDA graphs each layer of a step is launched anew.
EAGER_LAYER_S = 0.00036
LLAMA_BANDWIDTH, LLAMA_MATRIX, LLAMA_STEP_S, LLAMA_FRONT_END_S = 0.30, 0.063, 0.0010, 0.0145
# llama.cpp's 4-bit matrices: what each further row of a step costs, in readings of the weights at full bandwidth.
LLAMA_ROW_READINGS = 0.73
Q4_BITS = 4.9


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
    """A model on a card, by one side; `engine`: its plan, None for llama.cpp."""

    model: Model
    gpu: Gpu
    side: Side
    engine: EnginePlan | None = None


def predict(served: Served, load: Load, users: int) -> Prediction | None:
    """For `users` requests released together; None where the card's step times cannot be reckoned."""
    if not known.can_be_reckoned(served.gpu, served.side.precision):
        return None
    if served.engine is None:
        return _llama(served, load, users)
    times = known.reckoned(served.gpu, served.model, served.side.precision, served.engine)
    if served.side.args.get("enforce-eager"):
        times = replace(times, step_s=times.step_s + served.model.layers * EAGER_LAYER_S)
    asked = closed(users, load.requests_per_user, load.prompt_tokens, load.output_tokens)
    found = figures.of(simulate(known.engine_of(served.engine, times), asked))
    return Prediction(found.ttft_p50_ms, found.itl_p50_ms, found.total_time_s, found.output_tokens_per_s)


def _llama(served: Served, load: Load, users: int) -> Prediction:
    """More than its slots go one after the other."""
    at_once = min(users, served.side.slots)
    step = _step_s(served, at_once, load.prompt_tokens + load.output_tokens / 2)
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
    rate = float(catalog.read("step_times.yaml")["tflops"][served.gpu.name]) * 1e12 * LLAMA_MATRIX
    own = 2 * served.model.params_b * 1e9 * load.prompt_tokens / rate
    return LLAMA_FRONT_END_S + (before + 1) * own + _step_s(served, 1, load.prompt_tokens)


def _step_s(served: Served, at_once: int, context: float) -> float:
    held = at_once * context * kv_bytes(served.model)
    readings = 1 / LLAMA_BANDWIDTH + LLAMA_ROW_READINGS * (at_once - 1)
    read = _quantised_bytes(served.model) * readings + held / LLAMA_BANDWIDTH
    return LLAMA_STEP_S + read / (served.gpu.bandwidth_gbs * 1e9)


def _quantised_bytes(model: Model) -> float:
    return model.params_b * 1e9 * Q4_BITS / 8


def card_named(name: str) -> Gpu | None:
    """The card of the catalog that the driver's name means; None when it is not there."""
    plain = name.lower().replace("nvidia", "").replace("geforce", "").replace("-", "").replace(" ", "")
    found = [key for key in catalog.gpus() if plain.startswith(key.split("-")[0])]
    # The longest: an L40S is no L4.
    return catalog.gpus()[max(found, key=len)] if found else None
