"""The smallest changes that make several models fit: fewer people, smaller weights, turns, or another card. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

from fullbatch.catalog import Model
from fullbatch.core.errors import UsageError
from fullbatch.planning import profile
from fullbatch.planning.feasible import FP8_CAPABILITY, DoesNotFit
from fullbatch.planning.plan import Plan
from fullbatch.planning.several import PlacedModel, Several
from fullbatch.planning.several_plan import make_several

_MOST_CARDS = 16


def plan(name: str, asked: Several) -> Plan:
    """`make_several`; what does not fit is refused with the smallest changes that would."""
    try:
        return make_several(name, asked)
    except DoesNotFit as refusal:
        changes = smallest_changes(asked) if refusal.reason.startswith("models:") else []
        if not changes:
            raise
        raise DoesNotFit(f"{refusal.reason}; this would work: {', or '.join(changes)}", refusal.source) from refusal


def smallest_changes(asked: Several) -> list[str]:
    """One change of each kind, the mildest of it that fits."""
    if not asked.hardware.gpu:
        return _on_the_processor(asked)
    kinds = (_fewer_users(asked), _smaller(asked), _in_turns(asked), _another_card(asked))
    return [one for one in kinds if one]


def _fits(asked: Several) -> bool:
    try:
        make_several("", asked)
    except UsageError:
        return False
    return True


def _with(asked: Several, changed: dict[int, PlacedModel]) -> Several:
    parts = tuple(changed.get(number, part) for number, part in enumerate(asked.parts))
    return dataclasses.replace(asked, parts=parts)


def _said(part: PlacedModel, changes: dict[str, Any]) -> PlacedModel:
    """`part` with other settings of its profile."""
    if "model" in changes:
        data = part.profile.model_dump() | changes
        return dataclasses.replace(part, profile=profile.parse(data, ""))
    return dataclasses.replace(part, profile=part.profile.model_copy(update=changes))


def _fewer_users(asked: Several) -> str | None:
    """For one model as many people as would fit, the change that leaves the most of them."""
    best: tuple[float, str] | None = None
    for number, part in enumerate(asked.parts):
        fits, too_many = 0, part.profile.users
        while too_many - fits > 1:
            middle = (fits + too_many) // 2
            fine = _fits(_with(asked, {number: _said(part, {"users": middle})}))
            fits, too_many = (middle, too_many) if fine else (fits, middle)
        kept = fits / part.profile.users
        if fits and (best is None or kept > best[0]):
            best = kept, f"users: {fits} for {part.name}"
    return best[1] if best else None


def _smaller(asked: Several) -> str | None:
    """Weights or KV cache of one model in fewer bits."""
    for number, part in enumerate(asked.parts):
        for title, changes in _fewer_bits(part):
            try:
                changed = _said(part, changes)
            except UsageError:
                continue
            if _fits(_with(asked, {number: changed})):
                return title
    return None


def _fewer_bits(part: PlacedModel) -> Iterator[tuple[str, dict[str, Any]]]:
    model: Model = part.profile.facts
    card = part.profile.hardware.card
    if card and card.capability >= FP8_CAPABILITY and part.profile.kv_cache == "auto":
        yield f"kv_cache: fp8 for {part.name}", {"kv_cache": "fp8"}
    if model.precision != "bf16":
        return
    for precision in ("fp8", "int4"):
        for name in model.checkpoints.get(precision, ())[:1]:
            yield f"model: {name} for {part.name}", {"model": name, "revision": None}


def _in_turns(asked: Several) -> str | None:
    """As few models as possible that take turns, those that write text before others."""
    always = [number for number, part in enumerate(asked.parts) if not part.on_demand]
    already = {part.cards for part in asked.parts if part.on_demand}
    for count in range(1, len(always) + 1):
        for chosen in combinations(sorted(always, key=lambda number: _is_small(asked.parts[number])), count):
            if count == 1 and asked.parts[chosen[0]].cards not in already:
                continue
            turned = {number: dataclasses.replace(asked.parts[number], when="on-demand") for number in chosen}
            if _fits(_with(asked, turned)):
                return f"when: on-demand for {_list([asked.parts[number].name for number in chosen])}"
    return None


def _is_small(part: PlacedModel) -> tuple[bool, float]:
    facts = part.profile.facts
    return facts.pooling, -facts.params_b


def _another_card(asked: Several) -> str | None:
    """One more card of the same kind, which one model has for itself."""
    hardware = asked.hardware
    if hardware.device_ids or hardware.count >= _MOST_CARDS:
        return None
    more = hardware.model_copy(update={"count": hardware.count + 1})
    for number, part in enumerate(asked.parts):
        alone = part.profile.hardware.model_copy(update={"count": 1, "device_ids": [hardware.count]})
        moved = dataclasses.replace(
            part, cards=(hardware.count,), profile=part.profile.model_copy(update={"hardware": alone})
        )
        if not part.on_demand and _fits(dataclasses.replace(_with(asked, {number: moved}), hardware=more)):
            return f"hardware.count: {hardware.count + 1} with cards: [{hardware.count}] for {part.name}"
    return None


def _on_the_processor(asked: Several) -> list[str]:
    """Turns where there are none yet."""
    turned = {number: dataclasses.replace(part, when="on-demand") for number, part in enumerate(asked.parts)}
    return ["when: on-demand for all of them"] if _fits(_with(asked, turned)) else []


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
