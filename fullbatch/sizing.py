"""Pure arithmetic: facts about a model and a machine -> memory budget -> KV tokens -> limits.

Bytes of KV cache per token = 2 (K and V) x layers x KV heads x head size x bytes of a number
(vllm/v1/kv_cache_interface.py). The pool is cut into blocks; what does not fill a block is lost.
"""

from __future__ import annotations

from dataclasses import dataclass

from fullbatch.catalog import Engine, Gpu, Model

GIB = 2**30
BF16_BYTES = 2


@dataclass(frozen=True)
class Budget:
    """Where the memory goes, GiB. `usable` is what the engine may take; `kv` is what is left for the KV cache."""

    total_gib: float
    usable_gib: float
    weights_gib: float
    overhead_gib: float
    kv_gib: float


@dataclass(frozen=True)
class Capacity:
    """What the KV cache holds. Concurrency is in requests; worst = each at the full context."""

    kv_bytes_per_token: int
    kv_tokens: int
    concurrency_worst: float
    concurrency_typical: float


def kv_bytes_per_token(model: Model) -> int:
    """Bytes of KV cache one token costs at bf16, on all layers together."""
    return 2 * model.layers * model.kv_heads * model.head_dim * BF16_BYTES


def cpu_budget(kv_cache_gib: int, model: Model) -> Budget:
    """On the processor the KV pool is set, not computed."""
    weights = model.weights_gib["bf16"]
    return Budget(
        total_gib=kv_cache_gib + weights,
        usable_gib=kv_cache_gib + weights,
        weights_gib=weights,
        overhead_gib=0.0,
        kv_gib=float(kv_cache_gib),
    )


def gpu_budget(gpu: Gpu, count: int, model: Model, engine: Engine) -> Budget:
    """`requested = total x utilisation`; KV = requested - weights - context, activations and graphs (per card)."""
    total = gpu.memory_gib * count
    usable = total * engine.default_gpu_memory_utilization
    overhead = sum(engine.overhead_gib.values()) * count
    weights = model.weights_gib["bf16"]
    return Budget(total, usable, weights, overhead, usable - weights - overhead)


def capacity(budget: Budget, model: Model, context: int, block_size: int) -> Capacity:
    """Tokens and requests the pool holds; `typical` takes a request to be half of its context on average."""
    per_token = kv_bytes_per_token(model)
    blocks = int(budget.kv_gib * GIB) // (per_token * block_size)
    tokens = max(0, blocks) * block_size
    blocks_per_request = -(-context // block_size)
    return Capacity(
        kv_bytes_per_token=per_token,
        kv_tokens=tokens,
        concurrency_worst=max(0, blocks) / blocks_per_request,
        concurrency_typical=2 * max(0, blocks) / blocks_per_request,
    )


def sequences_for(users: int, engine_default: int) -> int:
    """`max_num_seqs`: every user in the batch at once, rounded up to 8, never above what the engine would take anyway.

    More seats than users cost CUDA-graph captures and sampler memory and are never filled; fewer make users queue.
    """
    return min(engine_default, max(8, -(-users // 8) * 8))
