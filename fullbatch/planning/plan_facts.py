"""Facts of a plan that are stored when it is started, so that later commands do not need its profile."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fullbatch.planning.engine_plan import EnginePlan
from fullbatch.planning.flags import Flag
from fullbatch.planning.plan import Plan


@dataclass(frozen=True)
class PlanFacts:
    """`device`: cuda or cpu. `kv_tokens`: planned, of all engines. `drain_seconds`: so long an engine may go on after
    it was told to stop. `words`: what the texts of diagnoses.yaml name."""

    device: str
    kv_tokens: int
    drain_seconds: int
    words: Mapping[str, str]

    def as_text(self) -> str:
        """On one line, as a container's label has it."""
        return json.dumps(dataclasses.asdict(self), separators=(",", ":"), sort_keys=True)


def of(plan: Plan) -> PlanFacts:
    """What is kept of `plan`."""
    engine = plan.engines[0]
    # What is there of models that take turns changes: their engines report nothing that could be compared.
    tokens = 0 if plan.turning else sum(part.capacity.kv_tokens for part in plan.models)
    return PlanFacts(engine.device, tokens, plan.drain_seconds, _words(plan, engine))


def read(data: Any) -> PlanFacts | None:
    """Facts from what JSON made of them, or from their text; None when it is none of ours, or an older one's."""
    try:
        found = json.loads(data) if isinstance(data, str) else data
        words = {str(name): str(value) for name, value in found["words"].items()}
        return PlanFacts(str(found["device"]), int(found["kv_tokens"]), int(found["drain_seconds"]), words)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


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
