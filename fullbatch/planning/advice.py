"""Advice on a plan: what runs out first, what would serve more, the smallest change that makes it possible. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from fullbatch import catalog
from fullbatch.catalog import Model
from fullbatch.core.errors import UsageError
from fullbatch.planning import faster, sizing
from fullbatch.planning.faster import FasterChoice
from fullbatch.planning.feasible import FP8_CAPABILITY, DoesNotFit
from fullbatch.planning.plan import Plan, make
from fullbatch.planning.profile import Profile, parse

CONTEXT_STEP = 256
# The shortest context a profile may ask for.
MINIMUM_CONTEXT = 256
MOST_CARDS = 16
# Beyond this many one machine is not enough, usually.
CARDS_OF_A_MACHINE = 8
MOST_MACHINES = 8
# A card counts as larger from this much more memory on.
LARGER = 1.2
_PRECISIONS = ("bf16", "fp8", "int4")


@dataclass(frozen=True)
class Choice:
    """Another way to serve the same people: in words, as settings of a profile, and what its KV cache holds."""

    title: str
    settings: dict[str, Any]
    kv_tokens: int
    concurrency_worst: float
    concurrency_typical: float


@dataclass(frozen=True)
class Advice:
    """`gives_first`: a sentence. `step_ms`: the least milliseconds of a decoding step with all users, None unknown.

    `better`: what would hold more; `faster`: what would answer few people sooner.
    """

    gives_first: str
    step_ms: float | None
    better: tuple[Choice, ...]
    faster: tuple[FasterChoice, ...] = ()


def plan(name: str, profile: Profile, own: Model | None = None) -> Plan:
    """`plan.make`; what does not fit is refused with the smallest changes that would."""
    try:
        return make(name, profile, own)
    except DoesNotFit as refusal:
        changes = smallest_changes(profile, own)
        if not changes:
            raise
        raise DoesNotFit(f"{refusal.reason}; this would work: {', or '.join(changes)}", refusal.source) from refusal


def advise(made: Plan, profile: Profile, own: Model | None = None) -> Advice:
    """What limits `made`, and every single change that holds more requests at once, the most effective last."""
    now = made.capacity.concurrency_worst
    found = [choice for choice in _choices(made, profile, own) if choice.concurrency_worst > now]
    better = tuple(sorted(found, key=lambda one: one.concurrency_worst))
    sooner = faster.choices(made, profile, _facts(profile, own), lambda changes: _attempt(profile, changes, own))
    return Advice(_gives_first(made, made.step_ms), made.step_ms, better, sooner)


def smallest_changes(profile: Profile, own: Model | None = None) -> list[str]:
    """What would make `profile` work: with the cards there are, with the fewest more, with one larger, or smaller."""
    if not profile.hardware.gpu:
        return []
    model = _facts(profile, own)
    more = _fewest_cards(profile, model, own) or _fewest_machines(profile, own)
    return [one for one in (more, _larger_card(profile, model, own), _smaller_model(profile, model)) if one]


def _facts(profile: Profile, own: Model | None) -> Model:
    return own or profile.facts


def _attempt(profile: Profile, changes: dict[str, Any], own: Model | None = None) -> Plan | None:
    """The plan of `profile` with `changes` (hardware is merged); None when it cannot work either."""
    data = profile.model_dump()
    # Other cards, or more of them: which ones is the person's choice again.
    data["hardware"] |= {"device_ids": []} | changes["hardware"] if "hardware" in changes else {}
    data |= {key: value for key, value in changes.items() if key != "hardware"}
    own = own or profile.facts
    keeps_facts = data["model"] == profile.model
    try:
        changed = parse(data, "", {profile.model: own} if keeps_facts else None)
        return make("", changed, own if keeps_facts else None)
    except UsageError:
        return None


def _weights(model: Model, precision: str) -> tuple[str, dict[str, Any]] | None:
    """How to get `model` at `precision`, in words and as settings; None when there is no way."""
    if precision == model.precision:
        return "", {}
    if model.precision != "bf16":
        return None
    known = model.checkpoints.get(precision)
    if known:
        return f"{precision} weights ({known[0]})", {"model": known[0]}
    if precision == "fp8" and "fp8" in model.weights_gib:
        return "fp8 weights (weights: fp8)", {"weights": "fp8"}
    return None


def _small_changes(profile: Profile, model: Model) -> Iterator[tuple[str, dict[str, Any]]]:
    """Weights and cache at every precision there is, the mildest change first."""
    assert profile.hardware.gpu is not None
    for cache, precision in product(("auto", "fp8"), _PRECISIONS):
        weights = _weights(model, precision) if profile.weights == "checkpoint" else ("", {})
        if weights is None:
            continue
        title, changes = weights
        if cache == profile.kv_cache:
            yield title, changes
        elif cache == "fp8":
            yield " and ".join(filter(None, (title, "an FP8 KV cache (kv_cache: fp8)"))), changes | {"kv_cache": "fp8"}


def _fewest_cards(profile: Profile, model: Model, own: Model | None) -> str | None:
    for count in range(1, CARDS_OF_A_MACHINE + 1):
        more = "" if count == profile.hardware.count else f"hardware.count: {count}"
        if count < profile.hardware.count and sizing.splits(model, profile.hardware.count):
            continue
        for title, changes in _small_changes(profile, model):
            if _attempt(profile, changes | {"hardware": {"count": count}}, own):
                return " with ".join(filter(None, (more, title))) or None
    return None


def _fewest_machines(profile: Profile, own: Model | None) -> str | None:
    """Where the cards of one machine are not enough for the model as it is."""
    for nodes in range(2, MOST_MACHINES + 1):
        if _attempt(profile, {"hardware": {"count": CARDS_OF_A_MACHINE, "nodes": nodes, "replicas": 1}}, own):
            return f"hardware.count: {CARDS_OF_A_MACHINE} and hardware.nodes: {nodes}"
    return None


def _larger_card(profile: Profile, model: Model, own: Model | None) -> str | None:
    assert profile.hardware.card is not None
    has = profile.hardware.card.memory_gib
    for gpu in sorted(catalog.gpus().values(), key=lambda card: card.memory_gib):
        for title, changes in _small_changes(profile, model):
            if gpu.memory_gib > has * LARGER and _attempt(profile, changes | {"hardware": {"gpu": gpu.name}}, own):
                return f"hardware.gpu: {gpu.name}" + (f" with {title}" if title else "")
    return None


def _smaller_model(profile: Profile, model: Model) -> str | None:
    for other in sorted(catalog.models().values(), key=lambda one: -one.params_b):
        if other.params_b < model.params_b and other.precision == "bf16" and other.base != model.base:
            made = _attempt(profile, {"model": other.name, "weights": "checkpoint"})
            if made:
                return f"model: {other.name}"
    return None


def _choices(made: Plan, profile: Profile, own: Model | None) -> Iterator[Choice]:
    for title, changes in _single_changes(made, profile, own):
        other = _attempt(profile, changes, own)
        if other:
            held = other.capacity
            yield Choice(title, changes, held.kv_tokens, held.concurrency_worst, held.concurrency_typical)


def _single_changes(made: Plan, profile: Profile, own: Model | None) -> Iterator[tuple[str, dict[str, Any]]]:
    fits = made.capacity.kv_tokens // max(1, made.users) // CONTEXT_STEP * CONTEXT_STEP
    if MINIMUM_CONTEXT <= fits < profile.context:
        yield f"a context of {fits:,}: all {made.users} at once", {"context": fits}
    model, card, hardware = _facts(profile, own), profile.hardware.card, profile.hardware
    if card is None:
        return
    for precision in _PRECISIONS[1:]:
        weights = _weights(model, precision) if profile.weights == "checkpoint" else None
        if weights and weights[1]:
            slow = "" if precision in card.native or precision == "int4" else "; saves memory, not time, on this card"
            yield weights[0] + slow, weights[1]
    if profile.kv_cache == "auto" and card.capability >= FP8_CAPABILITY:
        yield "an FP8 KV cache (kv_cache: fp8)", {"kv_cache": "fp8"}
    count = next((n for n in range(hardware.count + 1, CARDS_OF_A_MACHINE + 1) if sizing.splits(model, n)), None)
    if count:
        cards = count * hardware.replicas * hardware.nodes
        yield f"{cards} x {card.title}, the model cut over {count}", {"hardware": {"count": count}}
    copies = hardware.replicas + 1
    if copies <= MOST_CARDS and hardware.nodes == 1:
        yield f"{copies * hardware.count} x {card.title}, {copies} copies", {"hardware": {"replicas": copies}}
    larger = [one for one in catalog.gpus().values() if one.memory_gib > card.memory_gib * LARGER]
    for other in sorted(larger, key=lambda one: one.memory_gib)[:1]:
        cards = hardware.count * hardware.replicas * hardware.nodes
        yield f"{cards} x {other.title}", {"hardware": {"gpu": other.name}}


def _gives_first(made: Plan, step: float | None) -> str:
    held = made.capacity
    fits = int(min(held.concurrency_typical, 10**6))
    if fits < made.users and fits <= made.max_num_seqs:
        return f"the KV cache: {fits} requests of half the context fit, {made.users} people ask"
    if made.max_num_seqs < made.users:
        return f"the seats in the batch: {made.max_num_seqs} for {made.users} people; the others wait their turn"
    worst = int(held.concurrency_worst)
    if worst < made.users:
        return f"the KV cache, once more than {worst} requests reach the full context; on average all fit"
    if step is None:
        return "speed, not memory: everybody fits"
    rate, drafts = 1000 / step, made.engines[0].beside.draft
    more = ", and more where drafts are right" if drafts else ""
    return (
        f"memory bandwidth: everybody fits, and a step that reads weights and cache takes {step:.0f} ms at the least: "
        f"at most {rate:.0f} tokens a second for each of {made.users} people{more}"
    )
