"""Says of each setting that makes few people faster whether it is on, and why: a line each. Pure.

Why a plan never gives `--performance-mode` or a number of drafted tokens by load: docs/decisions/0034-fast-for-one.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from fullbatch import catalog
from fullbatch.catalog import Model, drafts
from fullbatch.planning import engine_args, feasible, kv_offload, sizing, speculative
from fullbatch.planning.feasible import FP8_CAPABILITY
from fullbatch.planning.flags import Flag
from fullbatch.planning.profile import Profile
from fullbatch.planning.speculative import FEW, Drafting
from fullbatch.planning.speed_settings import KvOffload

_MODE = "performance-mode"
_DECISION = "docs/decisions/0034-fast-for-one.md"


@dataclass(frozen=True)
class SpeedSetting:
    """One setting of a profile or flag of the engine. `source`: where `why` is from."""

    name: str
    on: bool
    why: str
    source: str


@dataclass(frozen=True)
class Beside:
    """What an engine has beside its model and its cards: `draft`, what drafts for it; `offload`, room for KV cache."""

    draft: Drafting | None = None
    offload: KvOffload | None = None

    @property
    def draft_model(self) -> str:
        """The repository of the model that drafts, to be fetched too; "" where there is none."""
        return self.draft.model if self.draft else ""

    @property
    def kv_disk_gib(self) -> int:
        """The quota of the KV cache on disk, 0 where none lies there."""
        return self.offload.disk.quota_gib if self.offload and self.offload.disk else 0

    @property
    def kv_memory_gib(self) -> int:
        """What of the KV cache lies in the machine's memory, which the engine takes as shared memory."""
        return self.offload.ram_gib if self.offload else 0


def flags(profile: Profile, draft: Drafting | None) -> tuple[Flag, ...]:
    """What the engine is told of both."""
    return tuple(flag for flag in (draft.flag if draft else None, kv_offload.flag(profile)) if flag)


def settings(profile: Profile, model: Model, draft: Drafting | None, held: sizing.Capacity) -> tuple[SpeedSetting, ...]:
    """All of them. `profile`: as it was asked for; `draft`: what drafts in the end."""
    return (
        _speculative(profile, model, draft),
        _mode(profile),
        _kv_cache(profile, model, held),
        _offload(profile),
    )


def _speculative(profile: Profile, model: Model, draft: Drafting | None) -> SpeedSetting:
    name, method = "speculative", profile.speculative.method
    if engine_args.parts(profile.engine.args, "speculative-config"):
        why = "engine.args.speculative-config says how; its memory is not counted"
        return SpeedSetting(name, True, why, "the profile")
    figure = drafts.figure("ngram" if draft and draft.method == "ngram" else "dense")
    if draft:
        few = "" if profile.users <= FEW else f", but above about {FEW} answers at once: {drafts.figure('load').text}"
        by = f"{method}: {draft.tokens} tokens ahead" + (f" with {draft.model}" if draft.model else "")
        return SpeedSetting(name, True, f"{by}; {figure.text}{few}", figure.source)
    would, why = speculative.chosen(profile, model)
    if would == "off":
        return SpeedSetting(name, False, f"auto: {why}" if method == "auto" else why, "fullbatch/catalog/drafts.yaml")
    if method == "auto":
        return SpeedSetting(name, False, f"auto: {would} does not fit beside the model", "the plan")
    return SpeedSetting(name, False, f"speculative: {would} is what would be tried first; {why}", figure.source)


def _mode(profile: Profile) -> SpeedSetting:
    given = profile.engine.args.get(_MODE)
    if given not in (None, "balanced"):
        why = f"engine.args: {given}; on an H200 interactivity gave one person nothing"
        return SpeedSetting(_MODE, True, why, _DECISION)
    why = "interactivity gave one person nothing on an H200: 249 tokens/s, and 248 without (Llama 3.1 8B, 4 bit)"
    return SpeedSetting(_MODE, False, why, _DECISION)


def _kv_cache(profile: Profile, model: Model, held: sizing.Capacity) -> SpeedSetting:
    name, card = "kv_cache fp8", profile.hardware.card
    cached = feasible.cached_as(profile, model)
    if cached.startswith("fp8"):
        asked = "" if feasible.kv_cache_dtype(profile) != "auto" else "the checkpoint asks for it; "
        return SpeedSetting(
            name, True, f"{asked}twice the tokens, a little less exact", "fullbatch/planning/kvcache.py"
        )
    if card is None:
        return SpeedSetting(name, False, "it needs a card", "fullbatch/planning/feasible.py")
    if card.capability < FP8_CAPABILITY:
        why = f"it needs compute capability 8.9, the {card.title} has {card.compute_capability}"
        return SpeedSetting(name, False, why, "fullbatch/planning/feasible.py")
    fits = held.concurrency_worst >= profile.users
    why = "all requests fit at 16 bit, and more exact; it brings room, hardly speed" if fits else (
        f"{int(held.concurrency_worst)} requests of the full context fit at 16 bit; kv_cache: fp8 holds twice as many"
    )  # fmt: skip
    return SpeedSetting(name, False, why, "fullbatch/planning/kvcache.py")


def _offload(profile: Profile) -> SpeedSetting:
    name, wanted, source = "kv_offload", profile.kv_offload, f"vLLM {catalog.engine().version}, v1/kv_offload"
    if wanted:
        disk = f", and {wanted.disk.quota_gib} GiB of disk that outlast a restart" if wanted.disk else ""
        return SpeedSetting(name, True, f"{wanted.ram_gib} GiB of the machine's memory{disk}", source)
    if profile.hardware.cpu:
        return SpeedSetting(name, False, "on the processor the KV cache is in the machine's memory anyway", source)
    why = (
        "long beginnings of prompts that come again (documents, long talks) would be read from the machine's memory "
        "instead of computed; it brings nothing for prompts that do not"
    )
    return SpeedSetting(name, False, why, source)
