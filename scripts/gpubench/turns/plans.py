"""The plan of two models that share a card, in turns or together, as it is given on the card that is there. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from fullbatch import catalog
from fullbatch.planning import profile, several_plan
from fullbatch.planning.engine_plan import EnginePlan
from fullbatch.planning.flags import Flag
from fullbatch.planning.gateway_wishes import GatewayWishes
from fullbatch.planning.hardware import Hardware
from fullbatch.planning.places import CardPlace
from fullbatch.planning.plan import Plan
from fullbatch.planning.residency import Residency
from fullbatch.planning.several import PlacedModel, Several, When
from scripts.gpubench import models, plans
from scripts.gpubench.matrix import Matrix, TurnsCell

# Sees how models take turns.
_OPERATORS = {"operators": ["first"], "admins": ["first"]}
SHARE, BYTES = "gpu-memory-utilization", "kv-cache-memory-bytes"


def in_turns(cell: TurnsCell, matrix: Matrix, here: plans.Here) -> Plan:
    """One of the two is there at a time."""
    return _make(cell, "on-demand", cell.card, matrix, here)


def for_people(cell: TurnsCell, matrix: Matrix, here: plans.Here) -> Plan:
    """The same for all of the cell's people: the gateway's queue is as long as the plan's users are many."""
    many = cell.model_copy(update={"users": cell.people // len(cell.models), "name": f"{cell.name}-people"})
    return _make(many, "on-demand", cell.together_card, matrix, here)


def together(cell: TurnsCell, matrix: Matrix, here: plans.Here) -> Plan:
    """Both are there, each with its share of the card and the bytes of its KV cache."""
    return _make(cell, "always", cell.together_card, matrix, here)


def share_alone(engine: EnginePlan) -> EnginePlan:
    """The same without the bytes of its KV cache: vLLM measures what is left for it while it starts."""
    return replace(engine, flags=tuple(flag for flag in engine.flags if flag.name != BYTES))


def _make(cell: TurnsCell, when: When, card: str, matrix: Matrix, here: plans.Here) -> Plan:
    hardware = {"gpu": card, "count": 1, "device_ids": [0]}
    parts = tuple(_part(cell, name, when, hardware, matrix, here) for name in cell.models)
    asked = Several(
        description=f"{' and '.join(cell.models)}: {when}",
        hardware=Hardware.model_validate(hardware),
        parts=parts,
        main_memory_gib=None,
        residency=Residency(patience_s=cell.patience_s),
        gateway=GatewayWishes.model_validate(_OPERATORS),
    )
    made = several_plan.make_several(f"gpubench-{cell.name}-{when}", asked)
    engines = [_here(engine, name, card, here) for engine, name in zip(made.engines, cell.models, strict=True)]
    alone = [replace(part, engines=(engine,)) for part, engine in zip(made.parts, engines, strict=True)]
    names = {engine.served_name: name for engine, name in zip(made.engines, cell.models, strict=True)}
    return replace(made, engines=tuple(engines), parts=tuple(alone), places=tuple(_named(made.places, names)))


def _named(places: Iterable[CardPlace], names: Mapping[str, str]) -> Iterator[CardPlace]:
    """What models have of the cards, by the names that they are served under."""
    for place in places:
        shares = tuple(replace(share, model=names[share.model]) for share in place.shares)
        yield replace(place, shares=shares)


def _part(
    cell: TurnsCell, name: str, when: When, hardware: dict[str, Any], matrix: Matrix, here: plans.Here
) -> PlacedModel:
    path = str(models.directory(here.models, name))
    own = replace(catalog.models()[matrix.models[name].repository], name=path, base=path)
    asked = {
        "description": name,
        "model": path,
        "hardware": hardware,
        "users": cell.users,
        "context": cell.context,
    }
    return PlacedModel(profile.parse(asked, name, {path: own}), when, (0,))


def _here(engine: EnginePlan, name: str, card: str, here: plans.Here) -> EnginePlan:
    """With weights that need no file, and the memory that it would have on `card`."""
    facts = catalog.gpus()[card]
    chosen = {flag.name: flag for flag in engine.flags} | {plans.DUMMY.name: plans.DUMMY}
    if here.memory_gib:
        share = round(float(str(chosen[SHARE].value)) * facts.memory_gib / here.memory_gib, 4)
        chosen[SHARE] = Flag(SHARE, share, f"the memory of a {facts.title}")
    for flag, value in plans.class_defaults(facts.defaults_class).items():
        chosen.setdefault(flag, Flag(flag, value, f"the engine's own default on a {facts.title}"))
    flags = tuple(flag for flag in chosen.values() if flag.name not in here.without)
    return replace(engine, served_name=name, flags=flags)
