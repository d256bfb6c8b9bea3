"""`Hardware`: what a profile runs on, in a person's words."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from common.faults import did_you_mean
from fullbatch import catalog
from fullbatch.catalog import Gpu

# AMD's and Intel's cards: vLLM has images for them that are not in the catalog.
_NOT_NVIDIA = re.compile(r"amd|rocm|radeon|instinct|mi\d|rx\d|w\d{4}|gfx|intel|arc|gaudi|hpu")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Cpu(_Strict):
    """Run on the processor. `kv_cache_gib`: memory for the KV cache, GiB."""

    kv_cache_gib: int = Field(ge=1, le=1024, description="memory for the KV cache, GiB")


class Card(_Strict):
    """A card that the catalog does not know, in its driver's words."""

    name: str = Field(default="card", pattern=r"^[\w .()/+-]+$", max_length=60, description="what to call it")
    memory_gib: float = Field(gt=1, le=4096, description="as `nvidia-smi` shows it (memory.total / 1024), GiB")
    bandwidth_gbs: float = Field(gt=1, le=100_000, description="of its memory, as its data sheet says, GB/s")
    compute_capability: str | None = Field(
        default=None, pattern=r"^[0-9]{1,2}\.[0-9]$", description='such as "8.6" (nvidia-smi: compute_cap)'
    )

    @field_validator("compute_capability", mode="before")
    @classmethod
    def _also_a_number(cls, value: Any) -> Any:
        """8.6 without quotes is a number in YAML."""
        return f"{value:.1f}" if isinstance(value, int | float) and not isinstance(value, bool) else value

    @property
    def facts(self) -> Gpu:
        """The same as the catalog would have it."""
        return catalog.own_gpu(self.name, self.memory_gib, self.bandwidth_gbs, self.compute_capability)

    def assumed(self) -> str:
        """What is taken for granted of it, in a sentence."""
        capability = "" if self.compute_capability else f"; compute capability taken as {self.facts.compute_capability}"
        return f"{self.name}: {self.facts.memory_gib} of {self.memory_gib:g} GiB can be had{capability}"


def _kind_of_card(value: Any) -> str:
    return "own" if isinstance(value, dict | Card) else "name"


class Hardware(_Strict):
    """Either `gpu` (a card of the catalog, or one of your own, `count` of them) or `cpu`."""

    gpu: Annotated[Annotated[str, Tag("name")] | Annotated[Card, Tag("own")], Discriminator(_kind_of_card)] | None = (
        Field(
            default=None,
            description="a card of the catalog, such as rtx4090, or {name: …, memory_gib: …, bandwidth_gbs: …}",
        )
    )
    count: int = Field(default=1, ge=1, le=16, description="how many of it, joined by tensor parallelism")
    replicas: int = Field(
        default=1, ge=1, le=16, description="copies of the model, each on its own `count` cards, behind one address"
    )
    nodes: int = Field(
        default=1, ge=1, le=8, description="machines with `count` cards each that hold one copy together (vLLM's own)"
    )
    device_ids: list[Annotated[int, Field(ge=0, le=1023)]] = Field(
        default_factory=list,
        description="which cards of the machine, as nvidia-smi numbers them: `count` x `replicas` (default: the first)",
    )
    cpu: Cpu | None = Field(default=None, description="run on the processor instead")

    @model_validator(mode="after")
    def _as_many_cards(self) -> Hardware:
        wanted, given = self.count * self.replicas, len(self.device_ids)
        if not given:
            return self
        if self.cpu is not None:
            raise ValueError("device_ids choose cards; remove them from a CPU profile")
        if len(set(self.device_ids)) < given:
            raise ValueError(f"device_ids: {self.device_ids} names a card twice; name each once")
        if given != wanted:
            raise ValueError(f"device_ids: {given} cards named, count x replicas is {wanted}; name {wanted}")
        return self

    @model_validator(mode="after")
    def _one_of(self) -> Hardware:
        if (self.gpu is None) == (self.cpu is None):
            raise ValueError("give either gpu (a card) or cpu, and not both")
        if isinstance(self.gpu, str) and self.gpu not in catalog.gpus():
            raise ValueError(unknown_card(self.gpu, "write {name: …, memory_gib: …, bandwidth_gbs: …} for any other"))
        return self

    @property
    def card(self) -> Gpu | None:
        """What is known of the card; None on the processor."""
        if isinstance(self.gpu, str):
            return catalog.gpus()[self.gpu]
        return self.gpu.facts if self.gpu else None


def unknown_card(name: str, other: str) -> str:
    """What is said of a card that the catalog does not know; `other`: how to give any other."""
    plain = _plain(name)
    if _NOT_NVIDIA.match(plain):
        return f"'{name}' is not supported here: vLLM's ROCm image is not in the catalog, nor any but NVIDIA's"
    same = [known for known, gpu in catalog.gpus().items() if plain in (_plain(known), _plain(gpu.title))]
    hint = f" (did you mean {same[0]}?)" if same else did_you_mean(plain, catalog.gpus(), cutoff=0.6)
    return f"'{name}' is no known card{hint}; {other} (`fullbatch plan --help` names the known)"


def _plain(name: str) -> str:
    """`NVIDIA GeForce RTX 4090` -> rtx4090."""
    return re.sub(r"nvidia|geforce|[^a-z0-9]", "", name.lower())
