"""`Several`: a profile of several models. Each of `models` is a profile of its own, but for what all of them share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from common import faults
from fullbatch.core.errors import FullbatchError, UsageError
from fullbatch.planning import profile, several_names
from fullbatch.planning.gateway_wishes import GatewayWishes
from fullbatch.planning.hardware import Hardware
from fullbatch.planning.profile import Profile
from fullbatch.planning.residency import Residency

When = Literal["always", "on-demand"]
# What all models share, and so stands once, beside `models`.
SHARED = ("description", "hardware", "gateway")
# A card's memory is dealt out by the plan.
_DEALT = ("gpu-memory-utilization", "kv-cache-memory-bytes", "num-gpu-blocks-override", "enable-sleep-mode")
_MOST_MODELS = 16


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ModelSettings(_Strict):
    """What one of `models` says beside the settings of any profile."""

    when: When = Field(
        default="always", description="always: it is there; on-demand: it takes turns with the others of its card"
    )
    cards: list[Annotated[int, Field(ge=0, le=1023)]] | None = Field(
        default=None,
        min_length=1,
        description="which cards hold it, as nvidia-smi numbers them, each layer cut over them (default: all of "
        "`hardware`); models share all of their cards or none",
    )
    kv_cache_gib: float | None = Field(
        default=None, gt=0, le=4096, description="memory for its KV cache, GiB (default: what its people need, or more)"
    )


class Shared(_Strict):
    """A profile of several models."""

    description: str = Field(min_length=1, description="one line: what this serves and for whom")
    hardware: Hardware
    models: list[dict[str, Any]] = Field(min_length=2, max_length=_MOST_MODELS, description="what is served")
    main_memory_gib: int | None = Field(
        default=None, ge=1, le=65536,
        description="memory of the machine, GiB: weights of models that sleep lie there (default: taken as enough)",
    )  # fmt: skip
    residency: Residency = Field(default_factory=Residency, description="how models take turns")
    gateway: GatewayWishes = Field(default_factory=GatewayWishes, description="what the gateway does besides the plan")


@dataclass(frozen=True)
class PlacedModel:
    """One of several models. `profile`: as it would stand alone on its `cards`; `kv_gib`: of its KV cache, if said."""

    profile: Profile
    when: When
    cards: tuple[int, ...]
    kv_gib: float | None = None

    @property
    def on_demand(self) -> bool:
        """Whether it takes turns."""
        return self.when == "on-demand"

    @property
    def name(self) -> str:
        """What clients call it."""
        return self.profile.facts.served_name


@dataclass(frozen=True)
class Several:
    """Some models on the same machine, behind one gateway."""

    description: str
    hardware: Hardware
    parts: tuple[PlacedModel, ...]
    main_memory_gib: int | None
    residency: Residency
    gateway: GatewayWishes

    def places(self) -> list[tuple[int, ...]]:
        """The sets of cards that hold models together, in order; one that is empty is the processor."""
        return list(dict.fromkeys(part.cards for part in self.parts))


def parse(root: Path, data: dict[str, Any], source: str) -> Several:
    """Validate `data`; `source` is the file named in the messages, and hub and folders are asked from `root`.

    UsageError with a line for each fault.
    """
    _refuse_mixed(data, source)
    try:
        shared = Shared.model_validate(data)
    except ValidationError as error:
        raise UsageError(*(f"{source}: {one}" for one in faults.find(error, Shared))) from error
    found: list[PlacedModel] = []
    told: list[str] = []
    for number, entry in enumerate(shared.models):
        try:
            found.append(_part(root, shared, entry, f"{source}: models[{number}]"))
        except FullbatchError as error:
            told += str(error).splitlines()
    told = told or [f"{source}: {fault}" for fault in _faults(shared, found)]
    if told:
        raise UsageError(*told)
    return Several(
        shared.description, shared.hardware, tuple(found), shared.main_memory_gib, shared.residency, shared.gateway
    )


def _refuse_mixed(data: dict[str, Any], source: str) -> None:
    """Settings of one model beside `models`: a fault that pydantic's words would not explain."""
    listed = data.get("models")
    if "model" in data:
        raise UsageError(f"{source}: give either model or models; move '{data['model']}' into models, as one of them")
    if isinstance(listed, list) and len(listed) == 1:
        raise UsageError(f"{source}: models: there is one; write its settings without `models`, or add another")
    own = [name for name in Profile.model_fields if name not in SHARED and name in data]
    if own:
        raise UsageError(*(f"{source}: {name}: write it in each of models that it is for" for name in own))


def _part(root: Path, shared: Shared, entry: dict[str, Any], source: str) -> PlacedModel:
    beside = [name for name in SHARED if name in entry]
    if beside:
        raise UsageError(*(f"{source}: {name}: is for all models; write it once, beside models" for name in beside))
    own = {name: value for name, value in entry.items() if name in ModelSettings.model_fields}
    try:
        place = ModelSettings.model_validate(own)
    except ValidationError as error:
        raise UsageError(*(f"{source}: {one}" for one in faults.find(error, ModelSettings))) from error
    rest = {name: value for name, value in entry.items() if name not in ModelSettings.model_fields}
    cards = _cards(shared.hardware, place, source)
    hardware = _hardware(shared.hardware, cards, place, source)
    given: dict[str, Any] = {"description": shared.description, "hardware": hardware}
    if shared.gateway.tracing:  # which the engine is told of too
        given["gateway"] = {"tracing": shared.gateway.tracing}
    made = profile.resolved(root, rest | given, source)
    taken = next((flag for flag in _DEALT if flag in made.engine.args), None)
    if taken:
        raise UsageError(f"{source}: engine.args.{taken}: the plan deals out the memory; write kv_cache_gib instead")
    if made.kv_offload and made.kv_offload.disk:
        raise UsageError(f"{source}: kv_offload.disk: is for one model; keep ram_gib alone, or serve it by itself")
    if made.engine.restart_stuck and place.when == "on-demand":
        raise UsageError(f"{source}: engine.restart_stuck: one that takes turns is started by its launcher; remove it")
    return PlacedModel(made, place.when, cards, place.kv_cache_gib)


def _cards(hardware: Hardware, place: ModelSettings, source: str) -> tuple[int, ...]:
    if hardware.cpu:
        if place.cards is not None:
            raise UsageError(f"{source}: cards: the processor has none; remove it")
        return ()
    there = tuple(hardware.device_ids) or tuple(range(hardware.count))
    if place.cards is None:
        return there
    if len(set(place.cards)) < len(place.cards):
        raise UsageError(f"{source}: cards: {place.cards} names a card twice; name each once")
    other = next((card for card in place.cards if card not in there), None)
    if other is not None:
        listing = ", ".join(map(str, there))
        raise UsageError(f"{source}: cards: there is no card {other} in hardware, which has {listing}; raise its count")
    return tuple(place.cards)


def _hardware(hardware: Hardware, cards: tuple[int, ...], place: ModelSettings, source: str) -> dict[str, Any]:
    """What one model has of it, as it would say so alone."""
    if hardware.gpu:
        gpu = hardware.gpu if isinstance(hardware.gpu, str) else hardware.gpu.model_dump()
        return {"gpu": gpu, "count": len(cards), "device_ids": list(cards)}
    assert hardware.cpu is not None  # Hardware holds one of the two
    asked = place.kv_cache_gib
    if asked is not None and asked != int(asked):
        raise UsageError(f"{source}: kv_cache_gib: {asked:g}: write whole GiB on the processor")
    return {"cpu": {"kv_cache_gib": int(asked or hardware.cpu.kv_cache_gib)}}


def _faults(shared: Shared, parts: list[PlacedModel]) -> Iterator[str]:
    """What is wrong with models that are right one by one."""
    if shared.hardware.replicas > 1 or shared.hardware.nodes > 1:
        yield "hardware: replicas and nodes are for one model; serve that one from a profile of its own"
    yield from several_names.faults([part.profile for part in parts])
    yield from _faults_of_places(parts)


def _faults_of_places(parts: list[PlacedModel]) -> Iterator[str]:
    for number, part in enumerate(parts):
        for earlier, other in enumerate(parts[:number]):
            if part.cards != other.cards and set(part.cards) & set(other.cards):
                both = f"{list(part.cards)} and {list(other.cards)} of models[{earlier}]"
                yield f"models[{number}].cards: {both} overlap; models share all of their cards or none"
        alone = not any(one.on_demand and one.cards == part.cards for one in parts if one is not part)
        if part.on_demand and alone:
            where = "on its cards" if part.cards else "here"
            yield (
                f"models[{number}].when: {part.name} is the only one on demand {where}, and takes turns with nobody; "
                "write always, or on-demand for another one too"
            )
