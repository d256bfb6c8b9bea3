"""Arms of a race: named sets of settings that differ from a profile's plan by one or two, pruned by sizing. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fullbatch import catalog
from fullbatch.core.errors import UsageError
from fullbatch.planning import advice, engine_step, speculative
from fullbatch.planning.engine_plan import EnginePlan
from fullbatch.planning.feasible import FP8_CAPABILITY
from fullbatch.planning.plan import Plan
from fullbatch.planning.profile import Profile, parse

MOST_ARMS = 12
# What the research note of 2025-10-20 gives every engine, whatever its card.
_NOTE = {
    "max-num-seqs": 256,
    "max-num-batched-tokens": 16384,
    "max-model-len": 4096,
    "enable-chunked-prefill": True,
    "enable-prefix-caching": True,
}
_OFFLOAD_GIB = 16
_FEWEST_TOKENS = 512

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Arm:
    """`changes`: of the profile's settings, a None takes one away. `title`: in words. `made`: its plan."""

    name: str
    title: str
    changes: Settings
    profile: Profile
    made: Plan


@dataclass(frozen=True)
class PrunedArm:
    """An arm that is not booted, and why."""

    name: str
    why: str


def build(
    name: str, profile: Profile, made: Plan, on_disk: Callable[[str], bool]
) -> tuple[tuple[Arm, ...], tuple[PrunedArm, ...]]:
    """Up to `MOST_ARMS`, and those that sizing or the plan prunes. `on_disk`: whether this machine has a checkpoint."""
    found: list[Arm] = []
    pruned: list[PrunedArm] = []
    seen = {_command(made): "the plan"}
    for arm, title, changes in _candidates(profile, made, on_disk):
        try:
            changed = with_changes(profile, changes)
            planned = advice.plan(name, changed)
        except UsageError as error:
            pruned.append(PrunedArm(arm, str(error).splitlines()[0].removeprefix(f"profiles/{name}.yaml: ")))
            continue
        same = seen.setdefault(_command(planned), arm)
        if same != arm:
            pruned.append(PrunedArm(arm, f"starts the same engine as {same}"))
        elif len(found) == MOST_ARMS:
            pruned.append(PrunedArm(arm, f"{MOST_ARMS} arms are enough for one race"))
        else:
            found.append(Arm(arm, title, changes, changed, planned))
    return tuple(found), tuple(pruned)


def with_changes(profile: Profile, changes: Settings) -> Profile:
    """The profile with other settings; UsageError where they are none."""
    data = merged(profile.model_dump(exclude_defaults=True), changes)
    own = {profile.model: profile.facts} if data["model"] == profile.model else None
    return parse(data, "the arm", own)


def merged(data: Mapping[str, Any], changes: Settings) -> dict[str, Any]:
    """Settings with changes: of mappings each key, a None takes a key away, and an empty mapping with it."""
    found = dict(data)
    for key, value in changes.items():
        if isinstance(value, Mapping):
            within = found.get(key)
            found[key] = merged(within if isinstance(within, Mapping) else {}, value)
            if not found[key]:
                del found[key]
        elif value is None:
            found.pop(key, None)
        else:
            found[key] = value
    return found


def _args(**given: Any) -> Settings:
    return {"engine": {"args": {flag.replace("_", "-"): value for flag, value in given.items()}}}


def _command(made: Plan) -> tuple[tuple[str, ...], ...]:
    return tuple((*engine.command("MODEL", "HOST", 0), str(engine.environment)) for engine in made.engines)


def _candidates(profile: Profile, made: Plan, on_disk: Callable[[str], bool]) -> Iterator[tuple[str, str, Settings]]:
    engine, own = made.engines[0], profile.engine.args
    yield from _seats(profile, engine)
    yield from _tokens(engine)
    if own:
        yield "own-flags-off", "without the profile's engine.args", {"engine": {"args": dict.fromkeys(own)}}
    yield "note-2025", "the flags of the 2025 note", _note(engine)
    yield "bare-defaults", "the engine's own seats and tokens", _bare(profile)
    if profile.hardware.gpu:
        yield from _weights(profile, on_disk)
        yield from _cache(profile)
    yield from _drafts(profile)
    if profile.facts.sight and profile.pictures != 0 and "language-model-only" not in own:
        yield "text-only", "pictures: 0", {"pictures": 0}
    if "performance-mode" not in own:
        yield "interactivity", "performance-mode interactivity", _args(performance_mode="interactivity")


def _seats(profile: Profile, engine: EnginePlan) -> Iterator[tuple[str, str, Settings]]:
    now = engine.max_num_seqs
    share = -(-profile.users // profile.hardware.replicas)
    planned = max(8, -(-share // 8) * 8)
    if "max-num-seqs" in profile.engine.args:
        yield "seats-planned", "max-num-seqs as planned", _args(max_num_seqs=None)
    for seats in dict.fromkeys((2 * now, max(1, now // 2), planned)):
        if seats != now:
            yield f"seats-{seats}", f"max-num-seqs {seats} instead of {now}", _args(max_num_seqs=seats)


def _tokens(engine: EnginePlan) -> Iterator[tuple[str, str, Settings]]:
    now = engine.max_num_batched_tokens
    for tokens in (2 * now, now // 2):
        if tokens >= _FEWEST_TOKENS:
            title = f"max-num-batched-tokens {tokens} instead of {now}"
            yield f"tokens-{tokens}", title, _args(max_num_batched_tokens=tokens)


def _weights(profile: Profile, on_disk: Callable[[str], bool]) -> Iterator[tuple[str, str, Settings]]:
    model = profile.facts
    if profile.weights == "checkpoint" and model.precision == "bf16" and "fp8" in model.weights_gib:
        yield "weights-fp8", "weights: fp8, made while they are loaded", {"weights": "fp8"}
    for precision, names in model.checkpoints.items():
        known = next((name for name in names if on_disk(name)), None)
        if known:
            yield f"checkpoint-{precision}", f"the {precision} checkpoint {known}", {"model": known, "revision": None}


def _cache(profile: Profile) -> Iterator[tuple[str, str, Settings]]:
    card = profile.hardware.card
    if profile.kv_cache == "fp8":
        yield "kv-16-bit", "kv_cache: auto", {"kv_cache": None}
    elif card and card.capability >= FP8_CAPABILITY:
        yield "kv-fp8", "kv_cache: fp8", {"kv_cache": "fp8"}
    if profile.kv_offload is None:
        yield "kv-offload", f"kv_offload: {_OFFLOAD_GIB} GiB of memory", {"kv_offload": {"ram_gib": _OFFLOAD_GIB}}
    else:
        yield "kv-offload-off", "without kv_offload", {"kv_offload": None}


def _drafts(profile: Profile) -> Iterator[tuple[str, str, Settings]]:
    if profile.speculative.method != "off":
        yield "drafts-off", "speculative: off", {"speculative": None}
        return
    if profile.hardware.gpu and speculative.has_mtp(profile.facts):
        for tokens in (1, 3):
            title = f"speculative: mtp, {tokens} ahead"
            yield f"mtp-{tokens}", title, {"speculative": {"method": "mtp", "tokens": tokens}}
    else:
        yield "ngram-3", "speculative: ngram, 3 ahead", {"speculative": {"method": "ngram", "tokens": 3}}


def _note(engine: EnginePlan) -> Settings:
    return {"engine": {"args": _NOTE | {"max-model-len": min(_NOTE["max-model-len"], engine.max_model_len)}}}


def _bare(profile: Profile) -> Settings:
    pinned, kind = catalog.engine(), engine_step.defaults_class(profile)
    bare: dict[str, Any] = dict.fromkeys(profile.engine.args)
    bare["max-num-seqs"] = pinned.default_max_num_seqs[kind]
    bare["max-num-batched-tokens"] = pinned.default_max_num_batched_tokens[kind]
    return {"engine": {"args": bare}}
