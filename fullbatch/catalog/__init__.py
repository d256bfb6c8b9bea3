"""Facts as data: models, GPUs and the engine's pin, each file saying where its numbers come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from fullbatch.catalog.kept import Kept as Kept
from fullbatch.catalog.kept import plain
from fullbatch.catalog.sight import Sight
from fullbatch.packaged.facts import Package

_HERE = Path(__file__).parent
# libyaml's parser where PyYAML was built with it: `fullbatch plan` answers in a fraction of a second.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Model:
    """One checkpoint. `weights_gib`: its size by precision, GiB; `precision` is what this checkpoint is in.

    `keeps`: what its layers keep of a request, kind by kind. `kv_dtype`: what the checkpoint itself asks the cache to
    be kept in, "" where nothing. `active_b`: billions of parameters that one token passes through, 0: all.
    `base`: the model a quantised checkpoint was made from, or itself. `experts`: how many a layer chooses from (mixture
    of experts), else 0. `pooling`: it makes vectors or scores, no text. `host_gib`: what the engine keeps of it in the
    host's memory. `revision`: the commit that these facts are of, "" for any. `remote_code`: the engine has to run code
    of its repository. `notes`: what is not known here. `package`: what brings it, where it comes from no hub.
    `model_type`: of its config.json. `sees`: it takes images. `chat_template`: its text, "" where it has none, None
    where that is not known. `takes_adapters`: the engine serves LoRA adapters with it. `sight`: what a picture costs
    one that sees.
    `head_gib`: of the head that drafts (MTP), at 16 bit, which is loaded where it is used only; 0: it has none.
    """

    name: str
    title: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    native_context: int
    weights_gib: Mapping[str, float]
    ffn: int = 0
    params_b: float = 0.0
    precision: str = "bf16"
    base: str = ""
    gated: bool = False
    active_b: float = 0.0
    keeps: tuple[Kept, ...] = ()
    kv_dtype: str = ""
    experts: int = 0
    pooling: bool = False
    remote_code: bool = False
    takes_adapters: bool = True
    sight: Sight | None = None
    revision: str = ""
    host_gib: float = 0.0
    source: str = ""
    checkpoints: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    package: Package | None = None
    model_type: str = ""
    sees: bool = False
    chat_template: str | None = None
    head_gib: float = 0.0

    @property
    def served_name(self) -> str:
        """What clients call it."""
        return self.package.serve_as if self.package else self.name

    @property
    def attention_layers(self) -> int:
        """Layers that keep keys and values of tokens."""
        return sum(one.layers for one in self.keeps if not one.state)

    @property
    def sliding_layers(self) -> int:
        """Those of them that keep the last tokens only."""
        return sum(one.layers for one in self.keeps if one.window)

    @property
    def state_layers(self) -> int:
        """Layers that keep a state of fixed size."""
        return sum(one.layers for one in self.keeps if one.state)

    @property
    def kv_latent(self) -> int:
        """Numbers that a layer keeps of a token where attention is compressed (MLA), else 0."""
        return max((one.latent for one in self.keeps), default=0)

    @property
    def dense_b(self) -> float:
        """Billions of parameters that one token passes through."""
        return self.active_b or self.params_b


@dataclass(frozen=True)
class Gpu:
    """One card. `memory_gib` is what torch reports, `bandwidth_gbs` GB/s, `defaults_class` which engine defaults apply.

    `native`: the number formats its tensor cores multiply.
    """

    name: str
    title: str
    memory_gib: float
    compute_capability: str
    defaults_class: str
    bandwidth_gbs: float = 0.0
    native: tuple[str, ...] = ("bf16",)

    @property
    def capability(self) -> tuple[int, int]:
        """Compute capability as numbers that compare: 8.9 is below 12.0."""
        major, minor = self.compute_capability.split(".")
        return int(major), int(minor)


@dataclass(frozen=True)
class PinnedEngine:
    """The pinned engine, and what it does by default. Keys of `block_size` and `batches_at_once`: the device, and the
    device with `_mla` where attention is compressed."""

    version: str
    images: dict[str, str]
    default_max_num_batched_tokens: dict[str, int]
    default_max_num_seqs: dict[str, int]
    default_gpu_memory_utilization: float
    block_size: dict[str, int]
    histogram_buckets: dict[str, list[float]]
    batches_at_once: dict[str, int]


@dataclass(frozen=True)
class Calibration:
    """What the engine takes beside weights and KV cache. GiB of one card, or of one engine on the processor.

    `context`, `activation` and `graphs` are those of a step of `tokens` and `sequences`. A model narrower than
    `activation_hidden` has `activation` in proportion to its width. A token more takes
    (`per_ffn` x ffn + `per_hidden` x hidden) numbers of 16 bit, a sequence more `logits_rows` fp32 rows of logits.
    """

    context: float
    activation: float
    activation_hidden: float
    graphs: float
    cpu_process: float
    tokens: float
    sequences: float
    per_ffn: float
    per_hidden: float
    logits_rows: float

    @property
    def overhead(self) -> float:
        """GiB of one card at the reference batch."""
        return self.context + self.activation + self.graphs


@dataclass(frozen=True)
class WorkloadShape:
    """What most requests look like. Tokens of an answer, seconds that a person or program waits in the queue.

    `requests_each`: requests that one user has under way or waiting at most, when all are busy.
    """

    answer_tokens: int
    queue_timeout_s: float
    requests_each: int


@cache
def read(name: str) -> dict[str, Any]:
    """A file of the catalog, as it stands."""
    data: dict[str, Any] = yaml.load((_HERE / name).read_text(encoding="utf-8"), _LOADER)
    return data


@cache
def models() -> Mapping[str, Model]:
    """Every checkpoint known, by repository id: the models (`tiny` is our own), then their quantised checkpoints."""
    from fullbatch.catalog import published  # which needs what is defined here

    own = {name: _model(name, facts) for name, facts in read("models.yaml").items()}
    quantised = {
        name: replace(model, name=name, title=f"{model.title}, {precision}", precision=precision)
        for model in own.values()
        for precision, names in model.checkpoints.items()
        for name in names
    }
    return published.Models(own | quantised, read("published.yaml"))


def _model(name: str, facts: dict[str, Any]) -> Model:
    own = ("shape", "weights", "checkpoints", "package", "sliding_window", "sliding_layers")
    rest = {key: value for key, value in facts.items() if key not in own}
    keeps = plain(facts["shape"], facts.get("sliding_window", 0), facts.get("sliding_layers", 0))
    checkpoints = {precision: tuple(names) for precision, names in facts.get("checkpoints", {}).items()}
    package = Package(**facts["package"]) if "package" in facts else None
    return Model(
        name=name, base=name, weights_gib=facts["weights"], checkpoints=checkpoints, package=package, keeps=keeps,
        **facts["shape"], **rest,
    )  # fmt: skip


@cache
def gpus() -> Mapping[str, Gpu]:
    """Every card known, by its short name."""
    return MappingProxyType({name: _gpu(name, facts) for name, facts in read("gpus.yaml").items()})


def _gpu(name: str, facts: dict[str, Any]) -> Gpu:
    rest = {key: value for key, value in facts.items() if key not in ("class", "native")}
    return Gpu(name=name, defaults_class=facts["class"], native=tuple(facts["native"]), **rest)


# Of the memory that the driver shows what torch can have: cards seen had 0.973 to 0.985 of it (gpus.yaml).
_HAD = 0.97
# From which compute capability on tensor cores multiply a format.
_MULTIPLIED = {"bf16": (8, 0), "int8": (7, 5), "fp8": (8, 9), "nvfp4": (10, 0)}
# From how many GiB on the engine has other defaults (engine/arg_utils.py:2921).
_LARGE, _HUGE = 70, 160


def own_gpu(name: str, memory_gib: float, bandwidth_gbs: float, capability: str | None) -> Gpu:
    """A card that is not in the catalog; `memory_gib` as nvidia-smi shows it, `capability` None: taken as 8.0."""
    card = Gpu(name, name, round(memory_gib * _HAD, 2), capability or "8.0", "cuda_small", bandwidth_gbs)
    kind = "cuda_small"
    if memory_gib >= _LARGE and "a100" not in name.lower():
        kind = "cuda_huge" if memory_gib >= _HUGE else "cuda_large"
    native = tuple(number for number, least in _MULTIPLIED.items() if card.capability >= least)
    return replace(card, defaults_class=kind, native=native)


def flags() -> dict[str, Any]:
    """What became of the flags of 2025: `flags` of the research note, and `gone`, which the pinned engine refuses."""
    return read("flags.yaml")


@cache
def engine() -> PinnedEngine:
    """The engine we pin."""
    data = read("engine.yaml")
    defaults = data["defaults"]
    return PinnedEngine(
        version=data["version"],
        images={kind: image.format(version=data["version"]) for kind, image in data["images"].items()},
        default_max_num_batched_tokens=defaults["max_num_batched_tokens"],
        default_max_num_seqs=defaults["max_num_seqs"],
        default_gpu_memory_utilization=defaults["gpu_memory_utilization"],
        block_size=defaults["block_size"],
        histogram_buckets=data["histogram_buckets"],
        batches_at_once=defaults["batches_at_once"],
    )


@cache
def calibration() -> Calibration:
    """The constants of sizing, each with its source in calibration.yaml."""
    found = {name: fact["value"] for name, fact in read("calibration.yaml")["constants"].items()}
    return Calibration(**{name: float(value) for name, value in found.items()})


def calibration_file() -> Path:
    """Where the constants and the runs behind them are kept."""
    return _HERE / "calibration.yaml"


def quality_file() -> Path:
    """Where texts, questions and the records of what was answered are kept."""
    return _HERE / "quality.yaml"


@cache
def workloads() -> Mapping[str, WorkloadShape]:
    """What is assumed of requests, by the name a profile gives."""
    found = read("calibration.yaml")["workloads"].items()
    return MappingProxyType({name: WorkloadShape(**facts) for name, facts in found})
