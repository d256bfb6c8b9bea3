"""Facts of a plan that are stored when it is started, so that later commands do not need its profile."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fullbatch.planning.engine_plan import EnginePlan
from fullbatch.planning.flags import Flag
from fullbatch.planning.plan import Plan


@dataclass(frozen=True)
class PlanFacts:
    """`device`: cuda or cpu. `kv_tokens`: planned, of all engines. `drain_seconds`: so long an engine may go on after
    it was told to stop. `words`: what the texts of diagnoses.yaml name; `engines`: of several models, those of each by
    its service."""

    device: str
    kv_tokens: int
    drain_seconds: int
    words: Mapping[str, str]
    engines: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def of_engine(self, service: str) -> PlanFacts:
        """The same with the words of one engine, where there are several models."""
        return dataclasses.replace(self, words=self.engines.get(service, self.words))

    def as_text(self) -> str:
        """On one line, as a container's label has it."""
        told = {name: value for name, value in dataclasses.asdict(self).items() if name != "engines" or value}
        return json.dumps(told, separators=(",", ":"), sort_keys=True)


def of(plan: Plan) -> PlanFacts:
    """What is kept of `plan`."""
    engine = plan.engines[0]
    # What is there of models that take turns changes: their engines report nothing that could be compared.
    tokens = 0 if plan.turning else sum(part.capacity.kv_tokens for part in plan.models)
    each = {one.service: _words(plan, one) for one in plan.engines} if plan.parts else {}
    return PlanFacts(engine.device, tokens, plan.drain_seconds, _words(plan, engine), each)


def read(data: Any) -> PlanFacts | None:
    """Facts from what JSON made of them, or from their text; None when it is none of ours, or an older one's."""
    try:
        found = json.loads(data) if isinstance(data, str) else data
        # One that was started by an older version keeps none of each engine.
        each = {str(name): _texts(words) for name, words in found.get("engines", {}).items()}
        numbers = int(found["kv_tokens"]), int(found["drain_seconds"])
        return PlanFacts(str(found["device"]), *numbers, _texts(found["words"]), each)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _texts(words: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in words.items()}


def _words(plan: Plan, engine: EnginePlan) -> dict[str, str]:
    flags = {flag.name: flag for flag in engine.flags}
    own = "max-model-len" in flags and "engine.args" in flags["max-model-len"].reason
    # Of one copy of the model; the plan's own counts are those of all.
    seqs = _number(flags.get("max-num-seqs"), engine.max_num_seqs)
    cards = _number(flags.get("tensor-parallel-size"), 1)
    return {
        "profile": plan.name,
        "file": f"profiles/{plan.name}.yaml",
        "model": engine.model,
        "context": str(engine.max_model_len),
        "context_key": "engine.args.max-model-len" if own else "context",
        "fewer_seqs": str(max(1, seqs // 2)),
        "more_gpus": str(cards * 2),
        "kv_gib": f"{engine.budget.kv_gib:.0f}",
        "version": plan.engine_version,
        "image_cu129": f"{engine.image}-cu129",
    } | ({"draft": engine.beside.draft_model} if engine.beside.draft_model else {})


def _number(flag: Flag | None, otherwise: int) -> int:
    # A profile may set any flag to any text; that it is wrong may be the very failure to explain.
    text = str(flag.value) if flag else ""
    return int(text) if text.isdecimal() else otherwise
