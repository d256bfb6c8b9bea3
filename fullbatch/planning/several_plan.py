"""Several models -> one `Plan`: who shares which cards, what each gets of them, and which of them take turns. Pure.

Each model is planned twice: with its cards for itself, which says what it needs, and then with what it was dealt.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from fullbatch import catalog
from fullbatch.planning import advice, card_share, gateway_limits, several_engine, sizing, turns
from fullbatch.planning.card_share import Dealt, Need, Room, TooMuch
from fullbatch.planning.feasible import CannotWork, DoesNotFit
from fullbatch.planning.flags import DRAIN_SECONDS, Flag
from fullbatch.planning.gateway_limits import AdmissionBounds
from fullbatch.planning.places import CardPlace, Share
from fullbatch.planning.plan import Plan, make
from fullbatch.planning.several import PlacedModel, Several

_BYTES = 2**20
# A service's name is part of a socket's path and of a host name.
_LONGEST_NAME = 30


@dataclass(frozen=True)
class _Planned:
    """One model: its number in the profile, and the plan that it would have with its cards for itself."""

    number: int
    part: PlacedModel
    alone: Plan
    need: Need

    @property
    def where(self) -> str:
        return f"models[{self.number}]"


def make_several(name: str, asked: Several) -> Plan:
    """The plan of all models.

    Raises:
        CannotWork: one of them cannot work on its cards; DoesNotFit: they do not fit together. Names file and model.
    """
    source = f"profiles/{name}.yaml"
    sleeping = turns.asleep(_sleepers(asked), asked.main_memory_gib, _offloaded(asked))
    planned = [_alone(name, source, number, part, part.name in sleeping) for number, part in enumerate(asked.parts)]
    found: dict[int, Plan] = {}
    places = []
    for cards in asked.places():
        here = [one for one in planned if one.part.cards == cards]
        made, place = _place(name, source, here)
        found |= {one.number: plan for one, plan in zip(here, made, strict=True)}
        places.append(place)
    if not asked.hardware.gpu:
        _refuse_memory(source, asked, places[0])
    return _together(name, asked, _named([found[number] for number in sorted(found)]), tuple(places))


def _sleepers(asked: Several) -> list[turns.Sleeper]:
    """Models that could sleep: on the processor vLLM has no sleep mode."""
    found = []
    for part in asked.parts:
        if part.on_demand and part.cards:
            held = "fp8" if part.profile.weights == "fp8" else part.profile.facts.precision
            found.append(turns.Sleeper(part.name, part.profile.facts.weights_gib[held]))
    return found


def _offloaded(asked: Several) -> float:
    """Main memory that KV cache takes."""
    return float(sum(part.profile.kv_offload.ram_gib for part in asked.parts if part.profile.kv_offload))


def _alone(name: str, source: str, number: int, part: PlacedModel, sleeps: bool) -> _Planned:
    try:
        alone = advice.plan(name, part.profile)
    except CannotWork as refusal:
        raise refusal.of(f"{source}: models[{number}]") from None
    engine = alone.engines[0]
    _refuse_small(source, number, part, alone)
    makes_text = "completion" in engine.capabilities
    need = Need(
        name=part.name,
        weights_gib=engine.budget.weights_gib,
        overhead_gib=engine.budget.overhead_gib,
        kv_gib=part.kv_gib if part.kv_gib and part.cards else _wanted(part, alone),
        more=makes_text and part.kv_gib is None and bool(part.cards),
        turns=part.on_demand,
        sleeps=sleeps,
    )
    return _Planned(number, part, alone, need)


def _refuse_small(source: str, number: int, part: PlacedModel, alone: Plan) -> None:
    """KV cache by hand has to hold one request of the whole context."""
    least = alone.engines[0].capacity.request_bytes / sizing.GIB
    if part.cards and part.kv_gib is not None and part.kv_gib < least:
        raise DoesNotFit(
            f"models[{number}]: kv_cache_gib: {part.kv_gib:g} does not hold one request of {part.profile.context} "
            f"tokens; write at least {math.ceil(least * 100) / 100:g}, or remove it",
            source,
        )


def _wanted(part: PlacedModel, alone: Plan) -> float:
    """KV cache for all users at half the context, and for one request of the whole; GiB."""
    if not part.cards:
        return alone.engines[0].budget.kv_gib
    if not part.profile.facts.keeps:
        return 0.0
    held, budget = alone.engines[0].capacity, alone.engines[0].budget
    half = budget.kv_gib / held.concurrency_typical
    whole = held.request_bytes / sizing.GIB
    # A sixteenth more: the engine keeps a block for itself, and blocks are whole.
    return max(whole, part.profile.users * half) * 17 / 16


def _place(name: str, source: str, here: Sequence[_Planned]) -> tuple[list[Plan], CardPlace]:
    """The plans of models that share their cards, each with what it was dealt."""
    cards = here[0].part.cards
    needs = [one.need for one in here]
    if not cards:
        made = [one.alone for one in here]
        return [_turning(one, plan) for one, plan in zip(here, made, strict=True)], _of_memory(needs)
    budget = here[0].alone.engines[0].budget
    if len(here) == 1 and here[0].part.kv_gib is None:  # its cards for itself
        one = here[0]
        share_of_one = Share(one.part.name, budget.weights_gib, budget.overhead_gib, budget.kv_gib)
        return [one.alone], CardPlace(_title(one.part), budget.total_gib, (share_of_one,))
    share = catalog.engine().default_gpu_memory_utilization
    room = Room(budget.total_gib, budget.total_gib * share, len(cards))
    try:
        dealt = card_share.deal(needs, room)
    except TooMuch as short:
        raise DoesNotFit(_sums(needs, room, short.missing), source) from None
    made = [
        _turning(one, _dealt(name, source, one, kv, room)) for one, kv in zip(here, dealt.kv_gib, strict=True)
    ]  # fmt: skip
    return made, _of_cards(here, made, room, dealt)


def _sums(needs: Sequence[Need], room: Room, missing: float) -> str:
    """What does not fit, in a line."""
    turning = [need for need in needs if need.turns]
    told = [f"{need.name} {need.gib:.1f}" for need in needs if not need.turns]
    if turning:
        largest = max(turning, key=lambda need: need.gib)
        told.append(f"{largest.name}, the largest in turns, {largest.gib:.1f}")
    if kept := card_share.kept(needs, room.cards):
        told.append(f"what sleepers keep {kept:.1f}")
    return (
        f"models: {' + '.join(told)} GiB do not fit the {room.usable_gib:.1f} GiB that engines may use: "
        f"{missing:.1f} too much"
    )


def _dealt(name: str, source: str, one: _Planned, kv_gib: float, room: Room) -> Plan:
    """The plan of a model whose KV cache and share of its cards are given."""
    given = int(kv_gib * sizing.GIB / room.cards / _BYTES) * _BYTES
    share = room.utilization(one.need.fixed_gib + kv_gib)
    told = {"gpu-memory-utilization": share} | ({"kv-cache-memory-bytes": given} if given else {})
    try:
        made = make(name, several_engine.with_args(one.part.profile, told))
    except CannotWork as refusal:
        raise refusal.of(f"{source}: {one.where}") from None
    why = {
        "gpu-memory-utilization": f"its share of {room.total_gib:.1f} GiB, which the others share; the start asks for "
        "so much free memory and no more",
    } | (
        {"kv-cache-memory-bytes": f"{kv_gib:.1f} GiB: dealt out by the plan, so that no start beside it can change it"}
        if given
        else {}
    )
    return several_engine.with_reasons(made, why)


def _turning(one: _Planned, made: Plan) -> Plan:
    """The same as one that takes turns, where it does."""
    if not one.part.on_demand:
        return made
    engine, facts = made.engines[0], one.part.profile.facts
    turn = turns.turn(
        one.part.cards, sleep=one.need.sleeps, cost=facts.dense_b or 1.0, weights_gib=one.need.weights_gib
    )  # fmt: skip
    more = (Flag("enable-sleep-mode", True, "while it is another's turn its weights lie in main memory"),)
    flags = engine.flags + (more if turn.sleep else ())
    return dataclasses.replace(made, engines=(dataclasses.replace(engine, flags=flags, turn=turn),))


def _of_cards(here: Sequence[_Planned], made: Sequence[Plan], room: Room, dealt: Dealt) -> CardPlace:
    shares = tuple(
        Share(one.part.name, budget.weights_gib, budget.overhead_gib, kv, one.part.on_demand)
        for one, budget, kv in zip(here, (plan.engines[0].budget for plan in made), dealt.kv_gib, strict=True)
    )
    return CardPlace(_title(here[0].part), room.total_gib, shares, dealt.kept_gib)


def _title(part: PlacedModel) -> str:
    card = part.profile.hardware.card
    assert card is not None  # there are cards
    return f"card{'s' * (len(part.cards) > 1)} {', '.join(map(str, part.cards))}, {card.title}"


def _of_memory(needs: Sequence[Need]) -> CardPlace:
    """Main memory, which models on the processor share; an engine's own processes count as beside its weights."""
    beside = catalog.calibration().cpu_process
    shares = tuple(Share(one.name, one.weights_gib, beside, one.kv_gib, one.turns) for one in needs)
    place = CardPlace("main memory", 0.0, shares)
    return dataclasses.replace(place, total_gib=-place.free_gib)


def _refuse_memory(source: str, asked: Several, place: CardPlace) -> None:
    most = asked.main_memory_gib
    if most is None or place.total_gib + turns.BESIDE_GIB <= most:
        return
    raise DoesNotFit(
        f"models: they take {place.total_gib:.1f} GiB of main memory, {turns.BESIDE_GIB:.0f} are left to everything "
        f"else, which is more than main_memory_gib: {most}",
        source,
    )


def _named(plans: Sequence[Plan]) -> list[Plan]:
    """With a name of its own for each engine."""
    found: list[Plan] = []
    taken: set[str] = set()
    for plan in plans:
        engine = plan.engines[0]
        plain = re.sub(r"[^a-z0-9]+", "-", engine.served_name.rpartition("/")[2].lower()).strip("-")
        base = f"engine-{plain}"[:_LONGEST_NAME].strip("-")
        name = next(one for one in (base, *(f"{base}-{number}" for number in range(2, 99))) if one not in taken)
        taken.add(name)
        found.append(dataclasses.replace(plan, engines=(dataclasses.replace(engine, service=name),)))
    return found


def _together(name: str, asked: Several, parts: Sequence[Plan], places: tuple[CardPlace, ...]) -> Plan:
    allowed = _admission(parts)
    seats = sum(plan.max_num_seqs for plan in parts)
    return Plan(
        name=name,
        description=asked.description,
        users=sum(plan.users for plan in parts),
        engine_version=parts[0].engine_version,
        engines=tuple(plan.engines[0] for plan in parts),
        limits=gateway_limits.limits(seats, allowed),
        admission=allowed,
        drain_seconds=DRAIN_SECONDS,
        left_to_engine=(),
        assumptions=_assumptions(asked, parts),
        aliases=tuple(alias for plan in parts for alias in plan.aliases),
        gateway=asked.gateway,
        parts=tuple(parts),
        places=places,
        residency=tuple(asked.residency.settings().items()),
    )


def _admission(parts: Sequence[Plan]) -> AdmissionBounds:
    """The gateway has one queue for all models; what each engine takes at once is its own."""
    all_of = [plan.admission for plan in parts]
    longest = max(all_of, key=lambda one: one.queue_timeout_s)
    return AdmissionBounds(
        users=sum(one.users for one in all_of),
        max_running=sum(one.max_running for one in all_of),
        max_running_each=max(one.max_running_each for one in all_of),
        max_queued=sum(one.max_queued for one in all_of),
        queue_timeout_s=longest.queue_timeout_s,
        why_running="the sum of all models; each engine is sent its own at most",
        why_queued="the sum of all models",
        why_timeout=f"the longest of all models: {longest.why_timeout}",
    )


def _assumptions(asked: Several, parts: Sequence[Plan]) -> tuple[str, ...]:
    found = []
    turning = [engine for plan in parts for engine in plan.engines if engine.turn]
    asleep = [engine for engine in turning if engine.turn and engine.turn.sleep]
    if asleep:
        weights = sum(engine.budget.weights_gib for engine in asleep)
        found.append(f"a model that sleeps keeps about {card_share.KEPT_GIB} GiB of each card (measured on an H200)")
        said = f"{asked.main_memory_gib} GiB" if asked.main_memory_gib else "the machine's, which `up` looks at"
        found.append(f"main memory holds {weights:.1f} GiB of weights that sleep ({said})")
    if turning:
        found.append("how long models take to wake or to start is a guess until it is learned: `fullbatch models`")
    return tuple(found)
