"""Pure arithmetic: facts about a model and a machine -> memory budget -> KV tokens -> limits.

Bytes of KV cache per token = 2 (K and V) x layers x KV heads x head size x bytes of a number
(vllm/v1/kv_cache_interface.py). The pool is cut into blocks; what does not fill a block is lost.
Where cards share a model (tensor parallelism) each holds heads / cards of the KV heads, at least one; a compressed
latent (MLA) is held by every card. Layers with a sliding window are counted as if they kept everything.
"""

from __future__ import annotations

from dataclasses import dataclass

from fullbatch.catalog import Engine, Gpu, Model

GIB = 2**30
BF16_BYTES = 2
# fp32 rows of the vocabulary that the sampler holds for each sequence.
_LOGITS_COPIES = 3
# Bytes of a cached number; `per_token_head` kinds add an fp32 scale to each head. What is not here counts as 16 bit.
_KV_BYTES = {"fp8": 1.0, "fp8_e4m3": 1.0, "fp8_e5m2": 1.0, "nvfp4": 0.5625}
_KV_SCALED = {"fp8_per_token_head": 1.0, "int8_per_token_head": 1.0, "int4_per_token_head": 0.5}


@dataclass(frozen=True)
class Budget:
    """Where the memory goes, GiB. `usable` is what the engine may take; `kv` is what is left for the KV cache."""

    total_gib: float
    usable_gib: float
    weights_gib: float
    overhead_gib: float
    kv_gib: float


@dataclass(frozen=True)
class Knobs:
    """What the engine is told that moves memory. None: the engine's own default.

    `batched_tokens` and `sequences` are those of a step; only what exceeds the reference batch costs more.
    """

    precision: str | None = None
    kv_cache_dtype: str = "auto"
    utilization: float | None = None
    batched_tokens: int = 0
    sequences: int = 0


@dataclass(frozen=True)
class Capacity:
    """What the KV cache holds. Concurrency is in requests; worst = each at the full context."""

    kv_bytes_per_token: int
    kv_tokens: int
    concurrency_worst: float
    concurrency_typical: float


def kv_bytes_per_token(model: Model, kv_cache_dtype: str = "auto", cards: int = 1) -> int:
    """Bytes of KV cache one token costs on all layers and all `cards` that share the model together."""
    per_card = model.kv_latent or 2 * model.head_dim * max(1, -(-model.kv_heads // cards))
    return int(model.layers * per_card * cards * _number_bytes(kv_cache_dtype, model.head_dim))


def _number_bytes(kv_cache_dtype: str, head_dim: int) -> float:
    if kv_cache_dtype in _KV_SCALED:
        return _KV_SCALED[kv_cache_dtype] + 4 / head_dim
    return _KV_BYTES.get(kv_cache_dtype, BF16_BYTES)


def weights_gib(model: Model, precision: str | None = None) -> float:
    """GiB of the weights at `precision`, by default the checkpoint's own."""
    return model.weights_gib[precision or model.precision]


def cpu_budget(kv_cache_gib: int, model: Model) -> Budget:
    """On the processor the KV pool is set, not computed."""
    weights = weights_gib(model)
    return Budget(
        total_gib=kv_cache_gib + weights,
        usable_gib=kv_cache_gib + weights,
        weights_gib=weights,
        overhead_gib=0.0,
        kv_gib=float(kv_cache_gib),
    )


def gpu_budget(gpu: Gpu, count: int, model: Model, engine: Engine, knobs: Knobs | None = None) -> Budget:
    """`requested = total x utilisation`; KV = requested - weights - context, activations and graphs (per card).

    `count` cards share the model; the figures are those of all of them together.
    """
    knobs = knobs or Knobs()
    total = gpu.memory_gib * count
    usable = total * (engine.default_gpu_memory_utilization if knobs.utilization is None else knobs.utilization)
    overhead = (sum(engine.overhead_gib.values()) + _larger_batch_gib(model, engine, knobs)) * count
    weights = weights_gib(model, knobs.precision)
    return Budget(total, usable, weights, overhead, usable - weights - overhead)


def _larger_batch_gib(model: Model, engine: Engine, knobs: Knobs) -> float:
    """What a step takes beyond the batch that the measured overhead stands for."""
    tokens = max(0, knobs.batched_tokens - engine.overhead_batch["tokens"])
    sequences = max(0, knobs.sequences - engine.overhead_batch["sequences"])
    activation = tokens * (2 * model.ffn + 6 * model.hidden) * BF16_BYTES
    return (activation + sequences * model.vocab * 4 * _LOGITS_COPIES) / GIB


def capacity(
    budget: Budget, model: Model, context: int, block_size: int, kv_cache_dtype: str = "auto", cards: int = 1
) -> Capacity:
    """Tokens and requests the pool holds; `typical` takes a request to be half of its context on average."""
    per_token = kv_bytes_per_token(model, kv_cache_dtype, cards)
    blocks = int(budget.kv_gib * GIB) // (per_token * block_size)
    tokens = max(0, blocks) * block_size
    blocks_per_request = -(-context // block_size)
    return Capacity(
        kv_bytes_per_token=per_token,
        kv_tokens=tokens,
        concurrency_worst=max(0, blocks) / blocks_per_request,
        concurrency_typical=2 * max(0, blocks) / blocks_per_request,
    )


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
    return Capacity(
        kv_bytes_per_token=one.kv_bytes_per_token,
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
