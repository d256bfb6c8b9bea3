"""What a plan takes for granted, and what it does not count, in sentences. Pure."""

from __future__ import annotations

from fullbatch import catalog
from fullbatch.planning import adapters, feasible, memory, sizing
from fullbatch.planning.hardware import Card
from fullbatch.planning.profile import Profile

_TIMES = {1: "once", 2: "twice", 3: "three times"}


def of(profile: Profile, model: catalog.Model, budget: sizing.Budget, length: int) -> tuple[str, ...]:
    """Of one engine with `budget`, whose longest request has `length` tokens."""
    found = ["a typical request uses half of its context, prompt and answer together"]
    if profile.hardware.gpu:
        found += _of_cards(profile, model, budget)
    if model.sliding_layers:
        windows = " or ".join(str(one.window) for one in model.keeps if one.window)
        found.append(
            f"{model.sliding_layers} of {model.attention_layers} layers with attention keep the last "
            f"{windows} tokens of a request and what is in flight"
        )
    found += [
        f"{one.layers} layers keep a state of {one.state / 2**20:.1f} MiB for a request, {_TIMES.get(one.blocks, '')}"
        for one in model.keeps
        if one.state
    ]
    if not model.keeps:
        found.append("it keeps nothing of a request: what is said of the KV cache is memory that stays free")
    longest = profile.facts.native_context
    if length > longest:
        found.append(f"{length} tokens are beyond the {longest} of the checkpoint itself (hf-overrides)")
    return (*found, *memory.unsized(profile, model), *model.notes)


def _of_adapters(profile: Profile, model: catalog.Model) -> list[str]:
    if not profile.adapters:
        return []
    places, rank = adapters.places(adapters.of(profile.adapters), profile.engine.args)
    knobs = sizing.Knobs(tensor=profile.hardware.count, adapters=sizing.Adapters(places, rank))
    taken = sizing.adapters_gib(model, knobs)
    said = f"adapters: {places} places of rank {rank} take {taken:.2f} GiB of each card"
    return [f"{said}; CUDA graphs are kept with and without"]


def _of_cards(profile: Profile, model: catalog.Model, budget: sizing.Budget) -> list[str]:
    weights, cache = memory.precision(profile, model), feasible.cached_as(profile, model)
    plain = "32 bit" if feasible.wide(profile) else "16 bit"
    weights, cache = weights.replace("bf16", plain), cache.replace("auto", plain)
    beside = budget.overhead_gib / (profile.hardware.count * profile.hardware.nodes)
    found = [
        *_of_adapters(profile, model),
        f"context, activations and CUDA graphs take about {beside:.1f} GiB a card (0.6 to 1.4 measured by us, "
        "two models on one card); nothing else uses it",
        f"weights: {weights}; KV cache: {cache}",
    ]
    if isinstance(profile.hardware.gpu, Card):
        found.append(profile.hardware.gpu.assumed())
    return found
