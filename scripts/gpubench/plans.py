"""The plan of a side: what `fullbatch plan` says for the card asked for, on the card that is there. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fullbatch import catalog
from fullbatch.planning import plan, profile
from fullbatch.planning.engine_plan import EnginePlan
from fullbatch.planning.feasible import CannotWork
from fullbatch.planning.flags import Flag
from fullbatch.planning.plan import Plan
from scripts.gpubench import models
from scripts.gpubench.matrix import Matrix, Side

DUMMY = Flag("load-format", "dummy", "random weights of the true shapes")
_CPU_POOL_GIB = 1


@dataclass(frozen=True)
class Here:
    """This machine for the plans: memory of its card, GiB as torch reports it (None: no card); where models lie.

    `without`: flags that the engine here does not know; they are left out.
    """

    memory_gib: float | None
    models: Path
    without: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Planned:
    """`refusal`: why Fullbatch says that it cannot work; `plan` is then the one of a context that would."""

    plan: Plan
    refusal: str | None


def make(matrix: Matrix, model: str, side: str, here: Here) -> Planned:
    """The plan of one vLLM side, with its flags as they are given here."""
    wanted, refusal = matrix.sides[side], None
    facts = catalog.models()[matrix.checkpoint(model, side)]
    path = "tiny" if facts.name == "tiny" else str(models.directory(here.models, model, facts.precision))
    own = None if path == "tiny" else replace(facts, name=path, base=path)
    context = facts.native_context if wanted.context == "native" else wanted.context
    name = f"{model}-{side}"
    try:
        made = _plan(name, path, wanted, context, matrix, own)
    except CannotWork as error:
        refusal, made = error.reason, _plan(name, path, wanted, min(context, 4096), matrix, own)
    engine = made.engines[0]
    engine = replace(engine, served_name=model, flags=_flags(matrix, wanted, engine, here))
    return Planned(replace(made, engines=(engine,)), refusal)


def _plan(name: str, path: str, wanted: Side, context: int, matrix: Matrix, own: catalog.Model | None) -> Plan:
    data: dict[str, Any] = {
        "description": f"{wanted.about}",
        "model": path,
        "hardware": {"gpu": matrix.plans_for} if matrix.plans_for else {"cpu": {"kv_cache_gib": _CPU_POOL_GIB}},
        "users": wanted.users,
        "context": context,
        "engine": {"args": wanted.args},
        "weights": "fp8" if wanted.precision == "fp8" else "checkpoint",
    }
    return plan.make(name, profile.parse(data, name, {path: own} if own else None), own)


def _flags(matrix: Matrix, wanted: Side, engine: EnginePlan, here: Here) -> tuple[Flag, ...]:
    """The plan's flags, or the bare ones; what the engine would choose otherwise on this card is written out."""
    chosen = {name: Flag(name, value, "the side's own") for name, value in wanted.args.items()}
    if not wanted.bare:
        chosen = {flag.name: flag for flag in engine.flags} | chosen
    chosen["load-format"] = DUMMY
    if matrix.plans_for and here.memory_gib:
        card = catalog.gpus()[matrix.plans_for]
        asked = float(wanted.args.get("gpu-memory-utilization", catalog.engine().default_gpu_memory_utilization))
        share = asked * card.memory_gib / here.memory_gib
        chosen["gpu-memory-utilization"] = Flag(
            "gpu-memory-utilization", round(share, 4), f"the memory of a {card.title}"
        )
        reason = f"the engine's own default on a {card.title}"
        for name, value in class_defaults(card.defaults_class).items():
            chosen.setdefault(name, Flag(name, value, reason))
    return tuple(flag for name, flag in chosen.items() if name not in here.without)


def class_defaults(kind: str) -> dict[str, int]:
    """Flags that vLLM would choose by the size of a card."""
    pinned = catalog.engine()
    return {
        "max-num-batched-tokens": pinned.default_max_num_batched_tokens[kind],
        "max-num-seqs": pinned.default_max_num_seqs[kind],
    }
