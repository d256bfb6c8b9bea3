"""Sizes a step of the engine: how many sequences and how many tokens, by goal and workload. Pure.

vLLM's guide (docs/configuration/optimization.md): about 2,048 tokens a step keep answers flowing evenly, more bring the
first token sooner, more than 8,192 are for throughput with small models on large cards.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from common.secrets import shown
from fullbatch import catalog
from fullbatch.planning import engine_args, sizing
from fullbatch.planning.feasible import CannotWork
from fullbatch.planning.profile import Profile

# Tokens of a step by goal, workload, and whether the card is a large one (70 GiB and more, but not the A100).
_TOKENS = {
    ("latency", "chat"): (2048, 2048),
    ("latency", "rag"): (4096, 8192),
    ("latency", "batch"): (2048, 8192),
    ("throughput", "chat"): (4096, 8192),
    ("throughput", "rag"): (8192, 8192),
    ("throughput", "batch"): (8192, 8192),
}
# A model up to this size (billions of parameters) is a small one on a large card.
_SMALL_MODEL_B = 10.0
_SMALL_MODEL_TOKENS = 16384
# Seats are counted in eights.
SEATS_STEP = 8
_WHY = {
    "chat": "a prompt is read in pieces of this many tokens, and running answers wait for each piece",
    "rag": "long prompts: larger pieces bring the first token sooner; running answers wait longer for each",
    "batch": "nobody reads along: more prompt tokens a step",
}


@dataclass(frozen=True)
class EngineStep:
    """`sequences` and `tokens` of a step of one engine, and why."""

    sequences: int
    tokens: int
    why_sequences: str
    why_tokens: str


def defaults_class(profile: Profile) -> str:
    """Which of the engine's defaults apply to the profile's hardware."""
    card = profile.hardware.card
    return card.defaults_class if card else "cpu"


def choose(profile: Profile, model: catalog.Model) -> EngineStep:
    """The step before the KV cache is known: for throughput its seats are the engine's own default."""
    share = -(-profile.users // profile.hardware.replicas)
    default = catalog.engine().default_max_num_seqs[defaults_class(profile)]
    seats, why = sizing.sequences_for(share, default), _why_seats(profile, share)
    if profile.goal == "throughput":
        seats, why = default, "goal: throughput: as many as the engine takes"
    tokens = _tokens(profile, model)
    if profile.engine.args.get("enable-chunked-prefill") is False:  # as the engine does (engine/arg_utils.py:3136)
        tokens = max(tokens, count(profile, "max-model-len", profile.context))
    return EngineStep(
        sequences=count(profile, "max-num-seqs", seats),
        tokens=count(profile, "max-num-batched-tokens", tokens),
        why_sequences=why,
        why_tokens=f"goal: {profile.goal}, workload: {profile.workload}: {_WHY[profile.workload]}",
    )


def seated(profile: Profile, batch: EngineStep, capacity: sizing.Capacity) -> EngineStep:
    """For throughput no more seats than requests of half the context fit the KV cache: more would only be preempted.

    Never more than the engine starts with; CannotWork where the profile asks for more itself.
    """
    return _startable(profile, _held(profile, batch, capacity), capacity)


def _startable(profile: Profile, batch: EngineStep, capacity: sizing.Capacity) -> EngineStep:
    most = capacity.most_seats
    if most is None or most < 1 or batch.sequences <= most or not profile.hardware.gpu:
        return batch
    why = f"each running request keeps a state in a block of its own, and there are {most} blocks: more do not start"
    if "max-num-seqs" in profile.engine.args:
        raise CannotWork(f"engine.args.max-num-seqs: {batch.sequences}: {why}; write at most {most}")
    fewer = most if most < SEATS_STEP else most // SEATS_STEP * SEATS_STEP
    return dataclasses.replace(batch, sequences=fewer, why_sequences=why)


def _held(profile: Profile, batch: EngineStep, capacity: sizing.Capacity) -> EngineStep:
    fit = max(8, -(-int(capacity.concurrency_typical) // 8) * 8)
    if profile.goal != "throughput" or fit >= batch.sequences:
        return batch
    why = "goal: throughput: as many as the KV cache holds at half the context, rounded up to 8"
    return EngineStep(count(profile, "max-num-seqs", fit), batch.tokens, why, batch.why_tokens)


def _why_seats(profile: Profile, share: int) -> str:
    if profile.hardware.replicas == 1:
        return f"a seat in the batch for each of {profile.users} users, rounded up to 8"
    return f"a seat in the batch for each of {share} users, this engine's share of {profile.users}, rounded up to 8"


def _tokens(profile: Profile, model: catalog.Model) -> int:
    kind = defaults_class(profile)
    if kind == "cpu":
        return catalog.engine().default_max_num_batched_tokens[kind]
    large = kind != "cuda_small"
    small_model = large and 0 < model.params_b <= _SMALL_MODEL_B
    if small_model and (profile.goal, profile.workload) == ("throughput", "batch"):
        return _SMALL_MODEL_TOKENS
    return _TOKENS[profile.goal, profile.workload][large]


def least_ms(
    profile: Profile, model: catalog.Model, seats: int, budget: sizing.Budget, held: sizing.Capacity
) -> float | None:
    """The least milliseconds of a decoding step of one engine with its share of the users; None where not known."""
    hardware = profile.hardware
    # Which experts a step reads depends on the batch, and how fast the host's memory is read on the machine.
    if not hardware.card or model.experts or profile.engine.args.get("cpu-offload-gb"):
        return None
    share = -(-profile.users // hardware.replicas)
    at_once = min(share, seats, held.concurrency_typical)
    cached = at_once * held.request_bytes / 2 / sizing.GIB
    # The stages of a pipeline read one after the other: only the cards of one are at work for a token.
    return sizing.step_ms(hardware.card, hardware.count, budget.weights_gib + cached)


def count(profile: Profile, flag: str, planned: int) -> int:
    """What the profile sets for `flag` itself, else what is planned; the gateway and the dashboards need a number."""
    value = profile.engine.args.get(flag, planned)
    number = engine_args.whole(value)
    if number is None:
        raise CannotWork(f"engine.args.{flag}: {shown(flag, value)}: write a whole number above 0")
    return number
