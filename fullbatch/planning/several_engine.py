"""What the plan of one model becomes among several: flags that were dealt out, with reasons of their own. Pure."""

from __future__ import annotations

import dataclasses
from typing import Any

from fullbatch.planning.engine_plan import EnginePlan
from fullbatch.planning.plan import Plan
from fullbatch.planning.profile import Profile


def with_args(profile: Profile, args: dict[str, Any]) -> Profile:
    """`profile` with more flags for its engine."""
    engine = profile.engine.model_copy(update={"args": {**profile.engine.args, **args}})
    return profile.model_copy(update={"engine": engine})


def with_reasons(made: Plan, why: dict[str, str]) -> Plan:
    """`made` with the reasons of flags that nobody has written into the profile; `why`: by flag."""
    engine = _unbounded(made.engines[0]) if "kv-cache-memory-bytes" not in why else made.engines[0]
    flags = tuple(dataclasses.replace(flag, reason=why.get(flag.name, flag.reason)) for flag in engine.flags)
    left = tuple(one for one in made.left_to_engine if one[0] not in why)
    return dataclasses.replace(
        made, left_to_engine=left, engines=(dataclasses.replace(engine, flags=flags),)
    )  # fmt: skip


def _unbounded(engine: EnginePlan) -> EnginePlan:
    """One that keeps nothing of a request: its seats are its only bound, and no memory is kept for a cache."""
    seats, length = engine.max_num_seqs, engine.max_model_len
    held = dataclasses.replace(
        engine.capacity, kv_tokens=seats * length, concurrency_worst=float(seats), concurrency_typical=float(seats)
    )
    return dataclasses.replace(engine, capacity=held, budget=dataclasses.replace(engine.budget, kv_gib=0.0))
