"""Pure arithmetic: facts about a model and a machine -> memory budget -> KV tokens -> limits.

How the pool is cut into blocks, and what a request takes of it, is `kvcache`; what the engine takes beside weights and
pool is `catalog/calibration.yaml`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fullbatch.catalog import Calibration, Gpu, Model, PinnedEngine
from fullbatch.planning import kvcache

GIB = 2**30


@dataclass(frozen=True)
class Budget:
    """Where the memory goes, GiB. `usable` is what the engine may take; `kv` is what is left for the KV cache."""

    total_gib: float
    usable_gib: float
    weights_gib: float
    overhead_gib: float
    kv_gib: float


@dataclass(frozen=True)
class Adapters:
    """LoRA: `places` on the card for adapters, each of a `rank` up to this."""

    places: int
    rank: int


@dataclass(frozen=True)
class Knobs:
    """What the engine is told that moves memory. None: the engine's own default.

    `batched_tokens` and `sequences` are those of a step; only what exceeds the reference batch costs more. `tensor`:
    cards that share each layer. `wide`: 32 bit where it would be 16. `graphs`: whether CUDA graphs are captured.
    `offload_gib`: weights of each card that lie in the host's memory. `draft_gib`: weights of what drafts, cut over the
    cards as the model is; `drafted`: tokens ahead, each with logits of its own.
    """

    precision: str | None = None
    utilization: float | None = None
    batched_tokens: int = 0
    sequences: int = 0
    tensor: int = 1
    wide: bool = False
    graphs: bool = True
    offload_gib: float = 0.0
    adapters: Adapters | None = None
    draft_gib: float = 0.0
    drafted: int = 0


@dataclass(frozen=True)
class Capacity:
    """What the KV cache holds. Concurrency is in requests; worst = each at the full context, typical = at half of it.

    `kv_tokens` as the engine reports it: requests of the full context x its length. `kv_bytes_per_token`: of a token
    that every layer with attention keeps. `request_bytes`: what a request of the full context takes. `longest`: tokens
    of the longest request that would fit alone. `most_seats`: more the engine does not start with, None: any number.
    """

    kv_bytes_per_token: int
    kv_tokens: int
    concurrency_worst: float
    concurrency_typical: float
    request_bytes: int
    longest: int
    most_seats: int | None = None


def weights_gib(model: Model, precision: str | None = None, wide: bool = False) -> float:
    """GiB of the weights at `precision`, by default the checkpoint's own; `wide`: 32 bit for what is 16 bit in it."""
    held = precision or model.precision
    narrow = model.weights_gib[held]
    if not wide:
        return narrow
    # Of a quantised checkpoint embedding and head are at 16 bit.
    half = narrow if held == "bf16" else min(narrow, 2 * model.vocab * model.hidden * kvcache.BF16_BYTES / GIB)
    return narrow + half


def cpu_budget(kv_cache_gib: int, model: Model, knobs: Knobs | None = None) -> Budget:
    """On the processor the KV pool is set, not computed."""
    knobs = knobs or Knobs()
    weights = weights_gib(model, knobs.precision, knobs.wide)
    return Budget(
        total_gib=kv_cache_gib + weights,
        usable_gib=kv_cache_gib + weights,
        weights_gib=weights,
        overhead_gib=0.0,
        kv_gib=float(kv_cache_gib),
    )


@dataclass(frozen=True)
class Machine:
    """`cards` of `gpu` that hold one copy of the model together."""

    gpu: Gpu
    cards: int
    engine: PinnedEngine
    calibration: Calibration


def gpu_budget(machine: Machine, model: Model, knobs: Knobs | None = None) -> Budget:
    """`requested = total x utilisation`; KV = requested - weights - context, activations and graphs (per card).

    The figures are those of all cards together.
    """
    knobs = knobs or Knobs()
    total = machine.gpu.memory_gib * machine.cards
    default = machine.engine.default_gpu_memory_utilization
    usable = total * (default if knobs.utilization is None else knobs.utilization)
    overhead = _overhead_gib(model, machine.calibration, knobs) * machine.cards
    weights = max(0.0, weights_gib(model, knobs.precision, knobs.wide) - knobs.offload_gib * machine.cards)
    weights += knobs.draft_gib
    return Budget(total, usable, weights, overhead, usable - weights - overhead)


def _overhead_gib(model: Model, calibration: Calibration, knobs: Knobs) -> float:
    """What a card holds beside weights and cache."""
    graphs = calibration.graphs if knobs.graphs else 0.0
    if knobs.adapters:  # captured with adapters and without (cudagraph_specialize_lora)
        graphs *= 2
    width = min(1.0, model.hidden / calibration.activation_hidden)
    step = calibration.activation * width * (2 if knobs.wide else 1) + _larger_batch_gib(model, calibration, knobs)
    return calibration.context + step + graphs + adapters_gib(model, knobs)


def _larger_batch_gib(model: Model, calibration: Calibration, knobs: Knobs) -> float:
    """What a step takes on a card beyond the batch that the calibrated overhead stands for.

    The feed-forward's width is dealt out over the cards that share a layer; the model's width is on each of them.
    """
    tokens = max(0.0, knobs.batched_tokens - calibration.tokens)
    sequences = max(0.0, knobs.sequences * (1 + knobs.drafted) - calibration.sequences)
    numbers = calibration.per_ffn * model.ffn / knobs.tensor + calibration.per_hidden * model.hidden
    logits = sequences * model.vocab * 4 * calibration.logits_rows
    return (tokens * numbers * kvcache.BF16_BYTES * (2 if knobs.wide else 1) + logits) / GIB


def adapters_gib(model: Model, knobs: Knobs) -> float:
    """Places for LoRA adapters on a card, as vLLM keeps them (lora/layers): of a layer that is cut by its output A is
    whole on each card and B cut, of one cut by its input the other way round; embedding and head are cut by words."""
    if knobs.adapters is None:
        return 0.0
    hidden, cards = model.hidden, knobs.tensor
    q, kv, ffn = model.heads * model.head_dim, model.kv_heads * model.head_dim, model.ffn
    attention = 3 * hidden + (q + 2 * kv) / cards + q / cards + hidden
    feed_forward = 0 if model.experts else 2 * hidden + 2 * ffn / cards + ffn / cards + hidden
    ends = 2 * (hidden + model.vocab)
    numbers = model.layers * (attention + feed_forward) + ends
    return knobs.adapters.places * knobs.adapters.rank * numbers * kvcache.BF16_BYTES / GIB


def capacity(budget: Budget, model: Model, context: int, cache: kvcache.Cache, given: int | None = None) -> Capacity:
    """Tokens and requests the pool holds; `typical` takes a request to be half of its context on average.

    `given`: blocks of the pool where the engine is told their number.
    """
    layout = kvcache.layout(model, cache)
    blocks = max(0, int(budget.kv_gib * GIB)) // layout.block_bytes if given is None else given
    worst = blocks / max(1, layout.blocks(context))
    return Capacity(
        kv_bytes_per_token=kvcache.bytes_per_token(model, cache),
        kv_tokens=int(worst * context),
        concurrency_worst=worst,
        concurrency_typical=blocks / max(1, layout.blocks(-(-context // 2))),
        request_bytes=layout.blocks(context) * layout.block_bytes,
        # The engine keeps one block for itself (kv_cache_utils.py:2627).
        longest=_longest(layout, blocks - 1, model.native_context),
        # Each running request needs a block for its state (config/compilation.py:1514).
        most_seats=blocks if layout.keeps_states else None,
    )


def _longest(layout: kvcache.Layout, blocks: int, native: int) -> int:
    """The most tokens, up to `native`, of a request that takes no more than `blocks`; 0 when not even one fits."""
    fits, too_many = 0, native + 1
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        fits, too_many = (middle, too_many) if layout.blocks(middle) <= blocks else (fits, middle)
    return fits


def times(budget: Budget, replicas: int) -> Budget:
    """The budget of `replicas` copies together."""
    return Budget(
        total_gib=budget.total_gib * replicas,
        usable_gib=budget.usable_gib * replicas,
        weights_gib=budget.weights_gib * replicas,
        overhead_gib=budget.overhead_gib * replicas,
        kv_gib=budget.kv_gib * replicas,
    )


def capacity_times(one: Capacity, replicas: int) -> Capacity:
    """What `replicas` copies hold together; a request lies in one of them, so parts of requests do not add up."""
    if replicas == 1:
        return one
    return replace(
        one,
        kv_tokens=one.kv_tokens * replicas,
        concurrency_worst=float(int(one.concurrency_worst) * replicas),
        concurrency_typical=float(int(one.concurrency_typical) * replicas),
    )


def sequences_for(users: int, engine_default: int) -> int:
    """`max_num_seqs`: every user in the batch at once, rounded up to 8, never above what the engine would take anyway.

    More seats than users cost CUDA-graph captures and sampler memory and are never filled; fewer make users queue.
    """
    return min(engine_default, max(8, -(-users // 8) * 8))


def splits(model: Model, cards: int) -> bool:
    """Whether tensor parallelism can cut the model over `cards`: each takes the same number of heads."""
    if model.heads % cards:
        return False
    return model.kv_heads % cards == 0 or cards % model.kv_heads == 0


def step_ms(gpu: Gpu, cards: int, weights: float) -> float:
    """The least milliseconds of one decoding step: every weight (GiB in all) is read once from the cards' memory."""
    return weights * GIB / (gpu.bandwidth_gbs * 1e9 * cards) * 1000
