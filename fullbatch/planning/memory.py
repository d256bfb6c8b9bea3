"""Sizes a profile: memory of each part and KV tokens, `engine.args` included. Pure.

Each flag that `catalog/memory_flags.yaml` calls sized is followed here, in `batch` or in `feasible`; what it calls
unsized is said by `unsized`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from common.secrets import shown
from fullbatch import catalog
from fullbatch.catalog import Model, engine_flags
from fullbatch.planning import adapters, engine_args, feasible, kvcache, pictures, sizing
from fullbatch.planning.engine_step import EngineStep
from fullbatch.planning.profile import Profile
from fullbatch.planning.speculative import Drafting

# Places for adapters and their rank by default (vllm/config/lora.py).
_LORA_PLACES, _LORA_RANK = 1, 16
# Keys of `hf-overrides` that move no memory by themselves.
_ROPE_KEYS = {"max_position_embeddings", "rope_parameters", "rope_scaling", "rope_theta", "text_config"}


def overridden(profile: Profile, model: Model) -> Model:
    """`model` as a profile makes it: its longest context, what its layers keep, and what sees left out."""
    if model.sight and profile.pictures == 0:
        left = {at: max(0.0, gib - model.sight.gib) for at, gib in model.weights_gib.items()}
        model = replace(model, weights_gib=left)
    args = profile.engine.args
    longest = engine_args.native_context(args, model.native_context)
    keeps = model.keeps
    if args.get("disable-hybrid-kv-cache-manager") is True:
        keeps = tuple(replace(one, window=0) for one in keeps)
    return replace(model, native_context=longest, keeps=keeps)


def sizes(
    profile: Profile, model: Model, step: EngineStep, length: int, draft: Drafting | None = None
) -> tuple[sizing.Budget, sizing.Capacity]:
    """Memory and capacity of one engine; CannotWork for a value of `engine.args` that is none.

    `draft`: what drafts for it, whose layers `model` has already.
    """
    budget = _budget(profile, model, step, draft)
    cache = cache_of(profile, model, step.tokens, draft)
    blocks = _number(profile, "num-gpu-blocks-override")
    if blocks is not None:
        budget = _fixed(budget, blocks * kvcache.layout(model, cache).block_bytes / sizing.GIB)
    return budget, sizing.capacity(budget, model, length, cache, blocks)


def precision(profile: Profile, model: Model) -> str:
    """What the weights are in once they are loaded."""
    method = profile.engine.args.get("quantization")
    online = engine_flags.online_precisions().get(str(method))
    if online and model.precision == "bf16" and online in model.weights_gib:
        return online
    return model.precision if profile.weights == "checkpoint" or method else profile.weights


def cache_of(profile: Profile, model: Model, tokens: int, draft: Drafting | None = None) -> kvcache.Cache:
    """How the engine will keep its KV cache; `tokens` of a step; `draft`: what drafts for it."""
    pinned, hardware, args = catalog.engine(), profile.hardware, profile.engine.args
    device = "cuda" if hardware.gpu else "cpu"
    at_once = pinned.batches_at_once[device]
    if device == "cuda" and isinstance(args.get("async-scheduling"), bool):
        at_once = 2 if args["async-scheduling"] else 1
    elif draft and draft.waits:
        at_once = 1
    dtype = feasible.cached_as(profile, model)
    block = _number(profile, "block-size")
    return kvcache.Cache(
        dtype="float32" if dtype == "auto" and feasible.wide(profile) else dtype,
        tensor=hardware.count if hardware.gpu else 1,
        stages=hardware.nodes,
        block=block or pinned.block_size[f"{device}_mla" if model.kv_latent else device],
        # A pipeline keeps one step for each stage under way, and one more.
        in_flight=(at_once + hardware.nodes - 1) * tokens,
        drafted=draft.tokens if draft else _drafted(profile),
        prefixes=args.get("enable-prefix-caching") is not False,
    )


def _drafted(profile: Profile) -> int:
    """Tokens that `engine.args` have drafted ahead of each request."""
    args = profile.engine.args
    said = engine_args.parts(args, "speculative-config").get("num_speculative_tokens", args.get("spec-tokens"))
    return engine_args.whole(said) or 0


def unsized(profile: Profile, model: Model) -> list[str]:
    """What `engine.args` move that the plan does not follow, in sentences."""
    args, meanings = profile.engine.args, engine_flags.meanings()
    found: dict[str, list[str]] = {}
    for flag in args:
        meaning = meanings[flag.split(".")[0]]
        if meaning.kind == "unsized":
            found.setdefault(meaning.says, []).append(flag)
    said = [f"not sized: {', '.join(flags)}: {says}" for says, flags in found.items()]
    strange = sorted(set(engine_args.parts(args, "hf-overrides")) - _ROPE_KEYS)
    if strange:
        said.append(f"not sized: hf-overrides: {', '.join(strange)}: the plan takes the checkpoint's own")
    if (profile.adapters or args.get("enable-lora") is True) and model.experts:
        said.append("not sized: enable-lora: adapters on the experts of a mixture are not counted")
    said += pictures.unsized(model.sight, profile.pictures)
    method = args.get("quantization")
    if method is not None and model.precision == "bf16" and precision(profile, model) == "bf16":
        said.append(f"not sized: quantization: {method}: the weights are planned at 16 bit")
    if model.host_gib:
        said.append(f"a table of {model.host_gib:.1f} GiB lies in the host's memory, not on the card (engram-config)")
    if not kvcache.known(cache := feasible.cached_as(profile, model)):
        said.append(f"not sized: kv-cache-dtype: {cache}: cached numbers are planned at 16 bit")
    if args.get("cpu-offload-gb"):
        said.append("not sized: cpu-offload-gb: how fast a step is that reads weights from the host's memory")
    return said


def _budget(profile: Profile, model: Model, step: EngineStep, draft: Drafting | None) -> sizing.Budget:
    hardware = profile.hardware
    knobs = sizing.Knobs(
        precision=precision(profile, model),
        utilization=_share(profile, "gpu-memory-utilization"),
        batched_tokens=step.tokens,
        sequences=step.sequences,
        tensor=hardware.count,
        wide=feasible.wide(profile),
        graphs=profile.engine.args.get("enforce-eager") is not True,
        offload_gib=_gib(profile, "cpu-offload-gb"),
        adapters=_adapters(profile),
        draft_gib=draft.gib if draft else 0.0,
        drafted=draft.tokens if draft else 0,
    )
    if hardware.cpu:
        return sizing.cpu_budget(hardware.cpu.kv_cache_gib, model, knobs)
    assert hardware.card is not None  # Hardware holds one of the two
    cards = hardware.count * hardware.nodes
    machine = sizing.Machine(hardware.card, cards, catalog.engine(), catalog.calibration())
    budget = sizing.gpu_budget(machine, model, knobs)
    fixed = _number(profile, "kv-cache-memory-bytes")
    if fixed is None:
        return budget
    # The engine asks nobody then, the utilisation included: what is there beside weights and step is what can be had.
    whole = replace(budget, usable_gib=budget.total_gib, kv_gib=budget.total_gib - budget.usable_gib + budget.kv_gib)
    return _fixed(whole, fixed * cards / sizing.GIB, "kv-cache-memory-bytes")


def _fixed(budget: sizing.Budget, wanted: float, flag: str = "num-gpu-blocks-override") -> sizing.Budget:
    """The budget with a KV cache of `wanted` GiB; CannotWork when it is more than there is."""
    if wanted > budget.kv_gib > 0:
        raise feasible.CannotWork(
            f"engine.args.{flag}: a KV cache of {wanted:.1f} GiB does not fit, {budget.kv_gib:.1f} GiB are left beside "
            "the weights; write less, or remove it",
        )
    return replace(budget, kv_gib=min(wanted, budget.kv_gib), usable_gib=budget.usable_gib - budget.kv_gib + wanted)


def _adapters(profile: Profile) -> sizing.Adapters | None:
    if profile.adapters:
        return sizing.Adapters(*adapters.places(adapters.of(profile.adapters), profile.engine.args))
    if profile.engine.args.get("enable-lora") is not True:
        return None
    places, rank = (_number(profile, flag) for flag in ("max-loras", "max-lora-rank"))
    return sizing.Adapters(places or _LORA_PLACES, rank or _LORA_RANK)


def _number(profile: Profile, flag: str) -> int | None:
    """A count that the profile sets for `flag`; None where it does not."""
    value = profile.engine.args.get(flag)
    if value is None:
        return None
    found = engine_args.whole(value)
    if found is None:
        raise feasible.CannotWork(f"engine.args.{flag}: {shown(flag, value)}: write a whole number above 0")
    return found


def _share(profile: Profile, flag: str) -> float | None:
    """A part of the whole that the profile sets for `flag` itself; None where it does not."""
    value = profile.engine.args.get(flag)
    if value is None:
        return None
    found = _float(value)
    if found is None or not 0 < found <= 1:
        raise feasible.CannotWork(f"engine.args.{flag}: {shown(flag, value)}: write a number above 0, at most 1")
    return found


def _gib(profile: Profile, flag: str) -> float:
    value = profile.engine.args.get(flag, 0.0)
    found = _float(value)
    if found is None or not 0 <= found < 1e6:
        raise feasible.CannotWork(f"engine.args.{flag}: {shown(flag, value)}: write GiB, 0 or more")
    return found


def _float(value: Any) -> float | None:
    """A number, also as a text; None for anything else."""
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None
