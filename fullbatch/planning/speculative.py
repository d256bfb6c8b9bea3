"""Decides what drafts tokens ahead of each answer, what it takes, and when it is refused. Pure.

Memory: the draft's weights at 16 bit; one more layer of KV cache for a head or EAGLE3, all layers of a draft model,
none for Gemma's assistants, which read the model's own; for each token drafted one more state of a request in every
layer that keeps one (kvcache.py); and logits of 1 + tokens rows for each seat (sizing.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from fullbatch import catalog
from fullbatch.catalog import Kept, Model, drafts
from fullbatch.planning import kvcache, sizing
from fullbatch.planning.feasible import CannotWork, DoesNotFit
from fullbatch.planning.flags import Flag
from fullbatch.planning.profile import Profile
from fullbatch.planning.speed_settings import Method, Speculative

Made = TypeVar("Made")
# `auto` drafts for so many people at most, and for dense models from so many billions of parameters on.
FEW, LARGE_B = 4, 8.0
# As vLLM calls the methods.
_METHODS = {"ngram": "ngram", "mtp": "mtp", "eagle3": "eagle3", "draft": "draft_model"}
# Flags that say the same.
_FLAGS = ("speculative-config", "spec-method", "spec-model", "spec-tokens")
# Prompts are searched for the last so many words of the answer.
_LOOKUP = {"prompt_lookup_min": 2, "prompt_lookup_max": 4}
# Words out of an EAGLE3 draft, which then are mapped to the model's.
_DRAFT_VOCAB = 32_000
_16_BIT = kvcache.BF16_BYTES / sizing.GIB
# A draft model is worth its time where it is so many times smaller.
_SMALLER = 4


@dataclass(frozen=True)
class Drafting:
    """What drafts. `method`: as vLLM calls it; `model`: a repository beside the model's own, "" for none.

    `gib`: its weights; `keeps`: what its layers keep of a request. `waits`: the engine prepares no step before the last
    one has ended. `notes`: what is taken for granted.
    """

    method: str
    tokens: int
    model: str = ""
    gib: float = 0.0
    keeps: tuple[Kept, ...] = ()
    waits: bool = False
    notes: tuple[str, ...] = ()

    @property
    def fetched_gib(self) -> float:
        """What of it is fetched beside the model."""
        return self.gib if self.model else 0.0

    @property
    def flag(self) -> Flag:
        """What the engine is told."""
        said: dict[str, object] = {"method": self.method, "num_speculative_tokens": self.tokens}
        said |= {"model": self.model} if self.model else {}
        said |= _LOOKUP if self.method == "ngram" else {}
        reason = "drafted ahead of each answer, and checked by the model in one step (profile: speculative)"
        return Flag("speculative-config", json.dumps(said, separators=(",", ":")), reason)


def settled(profile: Profile, model: Model, make: Callable[[Profile], Made]) -> tuple[Made, Drafting | None]:
    """What `make` makes of `profile` with a method in place of `auto`, and what drafts there.

    A draft of `auto` that does not fit is left out; of any other that does not fit beside a model that does it is said.
    """
    asked = profile.speculative.method
    method = chosen(profile, model)[0] if asked == "auto" else asked
    wanted = _with(profile, Speculative(method=method)) if asked == "auto" else profile
    try:
        return make(wanted), drafting(wanted, model)
    except DoesNotFit:
        if method == "off":
            raise
        made = make(_with(profile, Speculative()))  # its own refusal, where that does not fit either
        if asked == "auto":
            return made, None
        raise _does_not_fit(wanted, model) from None


def _with(profile: Profile, speculative: Speculative) -> Profile:
    return profile.model_copy(update={"speculative": speculative})


def _does_not_fit(profile: Profile, model: Model) -> DoesNotFit:
    """The refusal of drafts beside which the model does not fit, where it does without."""
    found = drafting(profile, model)
    assert found is not None  # else nothing would be the matter
    what = found.model or f"the head of {model.name}"
    return DoesNotFit(
        f"speculative: {what} does not fit beside the model: {found.gib:.1f} GiB for weights, and what it keeps; write "
        "off or ngram, or a shorter context",
    )


def chosen(profile: Profile, model: Model) -> tuple[Method, str]:
    """The method that `auto` stands for, and why."""
    if profile.hardware.cpu:
        return "off", "on the processor n-gram drafts alone were seen to work, and they help few texts"
    if profile.users > FEW:
        return "off", f"{profile.users} users; {drafts.figure('load').text}"
    if model.experts:
        return "off", drafts.figure("experts").text
    if model.params_b < LARGE_B:
        return "off", f"{model.params_b:g} billion parameters; {drafts.figure('small').text}"
    if has_mtp(model) or model.base in drafts.eagle3():
        return "mtp" if has_mtp(model) else "eagle3", drafts.figure("dense").text
    return "off", f"{model.name} has no head that drafts, and the catalog knows no EAGLE3 for it"


def has_mtp(model: Model) -> bool:
    """Whether `speculative: mtp` works for it."""
    return bool(model.head_gib) or model.base in drafts.assistants()


def drafting(profile: Profile, model: Model) -> Drafting | None:
    """What drafts; None where nothing does. CannotWork where it cannot, in a line that says what would be right."""
    method = profile.speculative.method
    if method in ("off", "auto"):  # the second is settled before
        return None
    for reason in _reasons(profile, model):
        raise CannotWork(f"speculative: {reason}")
    tokens = profile.speculative.tokens
    if method == "ngram":
        return Drafting("ngram", tokens or drafts.tokens(method), waits=True)
    if method == "mtp":
        return _mtp(model, tokens)
    return _eagle3(profile, model, tokens) if method == "eagle3" else _draft(profile, model, tokens)


def with_draft(model: Model, found: Drafting | None) -> Model:
    """`model` with what the layers of its draft keep."""
    if found is None or not found.keeps:
        return model
    keeps = list(model.keeps)
    for one in found.keeps:
        same = next((place for place, kept in enumerate(keeps) if replace(kept, layers=one.layers) == one), None)
        if same is None:
            keeps.append(one)
        else:
            keeps[same] = replace(keeps[same], layers=keeps[same].layers + one.layers)
    return replace(model, keeps=tuple(sorted(keeps, key=lambda one: (one.state, one.window))))


def assumed(profile: Profile, found: Drafting | None) -> list[str]:
    """What is taken for granted of it, in sentences."""
    if found is None:
        return []
    said = [f"drafts ({found.method}, {found.tokens} tokens ahead) take {found.gib:.1f} GiB for weights", *found.notes]
    if profile.users > FEW:
        load = drafts.figure("load")
        said.append(f"speculative: above about {FEW} answers at once it may cost more than it brings: {load.text}")
    return said


def _reasons(profile: Profile, model: Model) -> Iterator[str]:
    setting, args = profile.speculative, profile.engine.args
    beside = next((name for name in args if name.split(".")[0] in _FLAGS), None)
    if beside:
        yield f"engine.args.{beside} says the same; remove one of the two"
    if setting.method == "suffix":
        yield (
            f"suffix needs the package arctic-inference, which vLLM {catalog.engine().version} comes without; "
            "write ngram, which needs nothing"
        )
    if model.pooling:
        yield f"{model.name} writes no text; remove it"
    if profile.hardware.nodes > 1:
        yield "drafts over several machines (hardware.nodes) are not sized here; remove it"
    if profile.hardware.cpu and setting.method != "ngram":
        yield f"{setting.method} needs a card; on the processor write ngram or off"
    if setting.method == "mtp" and not has_mtp(model):
        yield f"{model.name} has no head that drafts (MTP); write {_instead(model)}"
    if setting.method == "eagle3" and not setting.model and model.base not in drafts.eagle3():
        lacks = f"eagle3: the catalog knows no EAGLE3 draft for {model.name}"
        yield f"{lacks}; name one as `model`, or write {_instead(model)}"
    if setting.method in ("eagle3", "draft") and not _fetched(model):
        yield f"{setting.method}: its draft comes from the hub, {model.name} does not; write ngram"
    if setting.method == "draft":
        yield from _wrong_draft(setting.model or "", model)


def _fetched(model: Model) -> bool:
    return model.package is None and model.name != "tiny" and not model.name.startswith("/")


def _instead(model: Model) -> str:
    """Methods that would work, in words."""
    works = ["mtp"] * has_mtp(model) + ["eagle3"] * (model.base in drafts.eagle3()) + ["ngram", "off"]
    return ", ".join(works[:-1]) + f" or {works[-1]}"


def _wrong_draft(name: str, model: Model) -> Iterator[str]:
    known, fitting = catalog.models().get(name), _drafts_for(model)
    write = f"write {', '.join(fitting)}" if fitting else f"write {_instead(model)}"
    if known is None:
        yield f"draft: '{name}' is no model of the catalog, so its memory is not known; {write}"
    elif known.vocab != model.vocab:
        yield (
            f"draft: {name} has a vocabulary of {known.vocab:,} words, {model.name} of {model.vocab:,}: they must be "
            f"the same; {write}"
        )
    elif known.params_b * _SMALLER > model.params_b:
        yield (
            f"draft: {name} has {known.params_b:g} billion parameters, {model.name} {model.params_b:g}: drafting would "
            f"take as long as it saves; {write}"
        )
    elif any(one.state for one in known.keeps) or not _fetched(known) or known.pooling:
        yield f"draft: {name} cannot draft; {write}"


def _drafts_for(model: Model) -> list[str]:
    """Models of the catalog that can draft for it, the smallest first; three at most."""
    fitting = [
        one
        for one in catalog.models().values()
        if one.vocab == model.vocab
        and one.precision == "bf16"
        and one.params_b * _SMALLER <= model.params_b
        and _fetched(one)
        and not one.pooling
        and not any(kept.state for kept in one.keeps)
    ]
    return [one.name for one in sorted(fitting, key=lambda one: one.params_b)[:3]]


def _mtp(model: Model, tokens: int | None) -> Drafting:
    assistant = drafts.assistants().get(model.base)
    if assistant:
        note = f"{assistant} reads the model's own KV cache; its size is what was published"
        return Drafting("mtp", tokens or drafts.tokens("assistant"), assistant, drafts.assistant_gib(), notes=(note,))
    full = next((one for one in model.keeps if not one.state and not one.window), None)
    keeps = (replace(full, layers=1),) if full else ()
    notes: tuple[str, ...] = ("the head that drafts is reckoned as a layer at 16 bit",)
    if model.base and model.name != model.base:
        notes += (f"that {model.name} has kept the head of {model.base} is taken for granted; its page says",)
    return Drafting("mtp", tokens or drafts.tokens("mtp"), gib=model.head_gib, keeps=keeps, notes=notes)


def _eagle3(profile: Profile, model: Model, tokens: int | None) -> Drafting:
    repository = profile.speculative.model or drafts.eagle3()[model.base]
    hidden, queries, keys = model.hidden, model.heads * model.head_dim, model.kv_heads * model.head_dim
    attention = 2 * hidden * (queries + 2 * keys) + queries * hidden
    words = (_DRAFT_VOCAB + model.vocab) * hidden
    parameters = attention + 3 * hidden * model.ffn + 3 * hidden * hidden + words
    note = f"{repository} is reckoned as one layer of the model's own shape"
    layer = Kept(1, model.kv_heads, 2 * model.head_dim)
    tokens = tokens or drafts.tokens("eagle3")
    return Drafting("eagle3", tokens, repository, parameters * _16_BIT, (layer,), notes=(note,))


def _draft(profile: Profile, model: Model, tokens: int | None) -> Drafting:
    draft = catalog.models()[profile.speculative.model or ""]
    note = f"that {draft.name} has the words of {model.name}, and not only as many, is taken for granted"
    weights = draft.weights_gib[draft.precision]
    tokens = tokens or drafts.tokens("draft")
    return Drafting("draft_model", tokens, draft.name, weights, draft.keeps, notes=(note,))
