"""Refuses what cannot work before anything is downloaded. Pure; each refusal is one line with what would be right."""

from __future__ import annotations

from common.faults import did_you_mean
from fullbatch import catalog
from fullbatch.catalog import Gpu, Model, engine_flags
from fullbatch.core.errors import UsageError
from fullbatch.planning import pictures, sizing
from fullbatch.planning.profile import Profile

# Below this no kernel multiplies the FP8 format of the KV cache (vllm/v1/attention/backends/triton_attn.py).
FP8_CAPABILITY = (8, 9)


# Turing; below it the engine has no kernels (docs.vllm.ai, getting_started/installation/gpu).
MINIMUM_CAPABILITY = (7, 5)
# BF16 is multiplied from here on (vllm/platforms/cuda.py, supported_dtypes).
BF16_CAPABILITY = (8, 0)
# Of the processor's engine.
_ONLY_CARDS = {
    "kv-cache-memory-bytes": "on the processor use hardware.cpu.kv_cache_gib, and remove this",
    "cpu-offload-gb": "on the processor all weights are in its memory; remove this",
}


class CannotWork(UsageError):
    """This profile cannot run on its hardware. `source`: its file, which the message begins with; `reason`: the rest.

    Who finds the fault knows no file: `plan.make` says it, once for all.
    """

    def __init__(self, reason: str, source: str = "") -> None:
        super().__init__(f"{source}: {reason}" if source else reason)
        self.reason, self.source = reason, source

    def of(self, source: str) -> CannotWork:
        """The same, told of the profile in the file `source`."""
        return type(self)(self.reason, source)


class DoesNotFit(CannotWork):
    """Weights, or one request, do not fit the memory."""


def refuse_settings(profile: Profile, model: Model) -> None:
    """CannotWork for settings that the engine, the card or the model's shape rules out."""
    for reason in _reasons(profile, model):
        if reason:
            raise CannotWork(reason)


def _reasons(profile: Profile, model: Model) -> list[str | None]:
    weights = _wrong_weights(profile, model)
    return [
        _remote_code(profile, model),
        _cpu(profile),
        _nodes(profile, model),
        weights,
        _quantization(profile, model),
        _card(profile, model),
    ]


def refuse_batch(sequences: int, batched_tokens: int) -> None:
    """CannotWork when a step cannot give each sequence one token: the engine does not start."""
    if sequences > batched_tokens:
        raise CannotWork(
            f"max-num-seqs {sequences} is more than max-num-batched-tokens {batched_tokens}: a step gives each "
            f"sequence a token at least; raise the second to {sequences}",
        )


def refuse_length(profile: Profile, model: Model, step_tokens: int, length: int) -> None:
    """CannotWork for a request longer than the model, or than a step where prompts are not cut."""
    if length > model.native_context:
        raise CannotWork(
            f"engine.args.max-model-len: {length} is more than {profile.model} was made for ({model.native_context}); "
            "write no more, or raise it in hf-overrides (max_position_embeddings) where its card says how",
        )
    if profile.engine.args.get("enable-chunked-prefill") is False and step_tokens < length:
        raise CannotWork(
            f"engine.args.enable-chunked-prefill: without it a step holds a whole prompt: max-num-batched-tokens "
            f"{step_tokens} is less than {length}; raise it to {length}, or remove this flag",
        )


def refuse_size(profile: Profile, length: int, budget: sizing.Budget, capacity: sizing.Capacity) -> None:
    """DoesNotFit when weights, or one request of `length` tokens, do not fit."""
    if capacity.longest >= length:
        return
    if budget.kv_gib <= 0:
        raise DoesNotFit(
            f"{profile.model} needs {budget.weights_gib:.1f} GiB for its weights and about "
            f"{budget.overhead_gib:.1f} GiB beside them, the engine may use {budget.usable_gib:.1f} GiB: it does not "
            "fit; choose a smaller model or more cards (hardware.count)",
        )
    raise DoesNotFit(
        f"context: {length} tokens do not fit the KV cache, which holds a request of {capacity.longest}; "
        f"write at most {capacity.longest}",
    )


def pictures_of(profile: Profile, model: Model) -> pictures.PicturePlan | None:
    """What is planned for pictures; CannotWork for more than the model, or its context, takes."""
    try:
        return pictures.plan(model.sight, profile.pictures, profile.context, profile.model)
    except ValueError as fault:
        raise CannotWork(str(fault)) from None


def kv_cache_dtype(profile: Profile) -> str:
    """What the KV cache is kept in: the profile's own flag, else its `kv_cache`."""
    return str(profile.engine.args.get("kv-cache-dtype", profile.kv_cache))


def cached_as(profile: Profile, model: Model) -> str:
    """The same, where the profile leaves it open as the checkpoint itself asks; the engine follows it."""
    asked = kv_cache_dtype(profile)
    return model.kv_dtype if asked == "auto" and model.kv_dtype else asked


def wide(profile: Profile) -> bool:
    """Whether what would be 16 bit is 32."""
    return profile.engine.args.get("dtype") in ("float32", "float")


def _wrong_weights(profile: Profile, model: Model) -> str | None:
    if profile.weights == "fp8" and model.precision != "bf16":
        return f"weights: {profile.model} is {model.precision} already; remove this setting"
    if profile.weights not in ("checkpoint", *model.weights_gib):
        return f"weights: {profile.model} has no size at {profile.weights}; remove this setting"
    return None


def _quantization(profile: Profile, model: Model) -> str | None:
    method = profile.engine.args.get("quantization")
    if method is None:
        return None
    where, text = "engine.args.quantization", str(method)
    if text not in engine_flags.methods():
        version = catalog.engine().version
        return f"{where}: vLLM {version} has no method '{text}'{did_you_mean(text, engine_flags.methods())}"
    if text in engine_flags.checkpoint_methods() and model.precision == "bf16":
        made = ", ".join(name for names in model.checkpoints.values() for name in names)
        other = f"name such a checkpoint as `model` ({made})" if made else "name such a checkpoint as `model`"
        return f"{where}: {text} needs a checkpoint made so, {profile.model} is 16 bit; {other}, or remove this"
    if text in engine_flags.online_precisions() and model.precision not in ("bf16", "fp8"):
        return f"{where}: {profile.model} is {model.precision} already; remove this"
    return None


def _remote_code(profile: Profile, model: Model) -> str | None:
    if not model.remote_code or "trust-remote-code" in profile.engine.args:
        return None
    return (
        f"{profile.model} is loaded by Python of its own repository, which can do anything on this machine; read it, "
        "and where you trust it write engine.args.trust-remote-code: true"
    )


def _cpu(profile: Profile) -> str | None:
    if profile.hardware.gpu:
        return None
    for flag, instead in _ONLY_CARDS.items():
        if flag in profile.engine.args:
            return f"engine.args.{flag}: {instead}"
    if profile.weights != "checkpoint" or profile.kv_cache != "auto":
        return "weights and kv_cache at 8 bit need a card; remove them for the processor"
    if profile.hardware.count * profile.hardware.nodes > 1:
        return "hardware: count and nodes are for cards; remove them for the processor"
    return None


def _nodes(profile: Profile, model: Model) -> str | None:
    nodes = profile.hardware.nodes
    if nodes == 1:
        return None
    if profile.hardware.replicas > 1:
        return "hardware: nodes and replicas together are not supported; serve each copy from a checkout of its own"
    if profile.engine.restart_stuck:
        return "engine.restart_stuck: its parts on other machines would not start again; remove it, or hardware.nodes"
    if nodes > model.layers:
        return f"hardware.nodes: {nodes} machines cannot share {model.layers} layers; write at most {model.layers}"
    return None


def _card(profile: Profile, model: Model) -> str | None:
    gpu, count = profile.hardware.card, profile.hardware.count
    if gpu is None:
        return None
    dtype = cached_as(profile, model)
    if gpu.capability < MINIMUM_CAPABILITY:
        return f"hardware.gpu: {gpu.title} has compute capability {gpu.compute_capability}, vLLM needs 7.5"
    if dtype.startswith("fp8") and gpu.capability < FP8_CAPABILITY:
        lacks = f"needs compute capability 8.9, the {gpu.title} has {gpu.compute_capability}"
        return f"kv_cache: {dtype} {lacks}; {_instead(profile)}"
    if profile.engine.args.get("dtype") == "bfloat16" and gpu.capability < BF16_CAPABILITY:
        return (
            f"engine.args.dtype: bfloat16 needs compute capability 8.0, the {gpu.title} has {gpu.compute_capability}; "
            "write float16"
        )
    if not sizing.splits(model, count):
        return f"hardware.count: {_divisors(model, count, gpu)}"
    return None


def _instead(profile: Profile) -> str:
    if kv_cache_dtype(profile) == "auto":
        return "the checkpoint asks for it; set engine.args kv-cache-dtype: bfloat16"
    return "leave it at 16 bit, or set engine.args kv-cache-dtype: int8_per_token_head"


def _divisors(model: Model, count: int, gpu: Gpu) -> str:
    works = [cards for cards in range(1, 17) if sizing.splits(model, cards)]
    below = max(cards for cards in works if cards < count)
    above = [cards for cards in works if cards > count][:1]
    choice = " or ".join(str(cards) for cards in [below, *above])
    return (
        f"{count} x {gpu.title} cannot share {model.heads} heads ({model.kv_heads} for keys and values) evenly; "
        f"write {choice}"
    )
