"""Facts as data: models, GPUs and the engine's pin, each file saying where its numbers come from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Model:
    """One model's architecture. `weights_gib`: checkpoint size by precision, GiB."""

    name: str
    title: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    native_context: int
    weights_gib: dict[str, float]


@dataclass(frozen=True)
class Gpu:
    """One card. `memory_gib` is what torch reports, `defaults_class` which engine defaults apply."""

    name: str
    title: str
    memory_gib: float
    compute_capability: str
    defaults_class: str


@dataclass(frozen=True)
class Engine:
    """The pinned engine, what it does by default, and what it costs beside weights and KV."""

    version: str
    images: dict[str, str]
    default_max_num_batched_tokens: dict[str, int]
    default_max_num_seqs: dict[str, int]
    default_gpu_memory_utilization: float
    block_size: dict[str, int]
    overhead_gib: dict[str, float]


@cache
def _read(name: str) -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load((_HERE / name).read_text(encoding="utf-8"))
    return data


def models() -> dict[str, Model]:
    """Every model known, by repository id (`tiny` is our own)."""
    return {
        name: Model(name=name, weights_gib=facts["weights"], **{k: v for k, v in facts.items() if k != "weights"})
        for name, facts in _read("models.yaml").items()
    }


def gpus() -> dict[str, Gpu]:
    """Every card known, by its short name."""
    return {
        name: Gpu(name=name, defaults_class=facts["class"], **{k: v for k, v in facts.items() if k != "class"})
        for name, facts in _read("gpus.yaml").items()
    }


def engine() -> Engine:
    """The engine we pin."""
    data = _read("engine.yaml")
    defaults = data["defaults"]
    return Engine(
        version=data["version"],
        images={kind: image.format(version=data["version"]) for kind, image in data["images"].items()},
        default_max_num_batched_tokens=defaults["max_num_batched_tokens"],
        default_max_num_seqs=defaults["max_num_seqs"],
        default_gpu_memory_utilization=defaults["gpu_memory_utilization"],
        block_size=defaults["block_size"],
        overhead_gib=data["overhead_gib"],
    )
