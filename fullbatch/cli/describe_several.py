"""Shows a plan of several models: one bar of memory for each card, then each model as if it were alone."""

from __future__ import annotations

import dataclasses
import string
from collections.abc import Sequence
from typing import Any

from fullbatch.cli import describe
from fullbatch.planning import explain
from fullbatch.planning.engine_plan import EnginePlan
from fullbatch.planning.places import CardPlace, Share
from fullbatch.planning.plan import Plan

# Beside the letters of models: the one whose turn it is, what sleepers keep, and what is left to nobody.
TURN, KEPT, FREE = "@", "%", "."


def as_json(plan: Plan) -> dict[str, Any]:
    """The plan for other programs. Each of `models` as `plan --json` of one model; GiB, seconds."""
    admitted = plan.admission
    return {
        "profile": plan.name,
        "engine_version": plan.engine_version,
        "models": [describe.as_json(part) | _when_as_json(part.engines[0]) for part in plan.models],
        "places": [_place_as_json(place) for place in plan.places],
        "admission": {
            "users": admitted.users,
            "max_running": admitted.max_running,
            "max_queued": admitted.max_queued,
            "queue_timeout_s": admitted.queue_timeout_s,
        },
        "assumptions": list(plan.assumptions),
    }


def _when_as_json(engine: EnginePlan) -> dict[str, Any]:
    turn = dataclasses.asdict(engine.turn) if engine.turn else None
    return {"served_name": engine.served_name, "when": "on-demand" if turn else "always", "turn": turn}


def _place_as_json(place: CardPlace) -> dict[str, Any]:
    return {
        "title": place.title,
        "total_gib": round(place.total_gib, 2),
        "free_gib": round(place.free_gib, 2),
        "turn_gib": round(place.turn_gib, 2),
        "kept_gib": round(place.kept_gib, 2),
        "models": [
            {name: round(value, 2) if isinstance(value, float) else value for name, value in vars(share).items()}
            for share in place.shares
        ],
    }


def as_text(plan: Plan) -> str:
    """The plan for a person."""
    engine = plan.engines[0]
    letters = dict(zip((one.served_name for one in plan.engines), string.ascii_uppercase, strict=False))
    parts = [
        f"{plan.name}: {plan.description}",
        f"vLLM {plan.engine_version}, image {engine.image}",
        *(_place(place, letters) for place in plan.places),
        "",
        "What the gateway lets in, of all models together",
        *describe.admission_rows(plan),
        *(_model(part, letters) for part in plan.models),
    ]
    if plan.assumptions:
        parts += ["", "Assumed, of all models together", *describe.bullets(plan.assumptions)]
    return "\n".join(parts) + "\n"


def explained(plan: Plan) -> str:
    """The flags of each model by verdict."""
    return "\n".join(
        f"{part.engines[0].served_name}\n\n{describe.explained(explain.lines(part))}" for part in plan.models
    )


def explained_as_json(plan: Plan) -> dict[str, list[dict[str, str]]]:
    """The same for other programs, by model."""
    return {part.engines[0].served_name: explain.as_json(explain.lines(part)) for part in plan.models}


def _place(place: CardPlace, letters: dict[str, str]) -> str:
    always = [share for share in place.shares if not share.turns]
    turning = [share for share in place.shares if share.turns]
    pieces = [piece for share in always for piece in _pieces(share, letters[share.model])]
    pieces += [(TURN, place.turn_gib), (KEPT, place.kept_gib), (FREE, place.free_gib)]
    bar = "".join(mark * round(describe.BAR_WIDTH * gib / place.total_gib) for mark, gib in pieces)
    lines = [f"\nMemory, {place.title}: {place.total_gib:.1f} GiB", f"  [{bar}]"]
    lines += [_share(letters[share.model], share) for share in always]
    if turning:
        lines.append(f"  {TURN} one at a time, at most {place.turn_gib:.1f} GiB")
        lines += [_share(f"  {letters[share.model]}", share) for share in turning]
    if place.kept_gib:
        lines.append(f"  {KEPT} what sleepers keep {place.kept_gib:.1f}")
    return "\n".join([*lines, *([f"  {FREE} left free {place.free_gib:.1f}"] if place.free_gib >= 0.05 else [])])


def _pieces(share: Share, letter: str) -> list[tuple[str, float]]:
    """Large letters: weights and what is beside them; small ones: KV cache."""
    return [(letter, share.weights_gib + share.overhead_gib), (letter.lower(), share.kv_gib)]


def _share(mark: str, share: Share) -> str:
    return (
        f"  {mark} {share.model}: weights {share.weights_gib:.1f} + beside {share.overhead_gib:.1f} "
        f"+ KV cache {share.kv_gib:.1f} = {share.gib:.1f}"
    )


def _model(part: Plan, letters: dict[str, str]) -> str:
    engine = part.engines[0]
    lines = [f"\n{letters[engine.served_name]} {engine.served_name}: {_when(engine)}", describe.capacity_text(part)]
    lines += ["Flags given to its engine", *describe.flag_rows(engine.flags)]
    assumed: Sequence[str] = [*part.assumptions, *describe.risks(part)]
    return "\n".join([*lines, "Assumed, and what gives first", *describe.bullets(assumed)])


def _when(engine: EnginePlan) -> str:
    if engine.turn is None:
        return "always there"
    turn = engine.turn
    if turn.sleep:
        return f"on demand; sleeps in main memory, awake in about {turn.wake_guess_s:.0f} s"
    why = "main memory does not hold its weights" if engine.gpus else "engines on the processor cannot sleep"
    there = f" instead of {turn.wake_guess_s:.0f} s" if engine.gpus else ""
    return f"on demand; stopped and started anew, there in about {turn.cold_guess_s:.0f} s{there}: {why}"
