"""Shows a plan in words and as JSON: every number with its reason."""

from __future__ import annotations

import dataclasses
import shutil
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fullbatch.planning.advice import Advice
from fullbatch.planning.deployments import Asked
from fullbatch.planning.explain import FlagVerdict
from fullbatch.planning.flags import Flag
from fullbatch.planning.plan import Plan
from fullbatch.rendering import profiles_page

BAR_WIDTH = 48


def as_json(plan: Plan) -> dict[str, Any]:
    """The plan for other programs. Bytes, tokens and requests; `flags` as the engine gets them."""
    engine, held, admitted = plan.engines[0], plan.capacity, plan.admission
    return {
        "profile": plan.name,
        "engine_version": plan.engine_version,
        "image": engine.image,
        "model": engine.model,
        "engines": len(plan.engines),
        "cards": sum(one.cards for one in plan.engines),
        "kv_tokens": held.kv_tokens,
        "kv_bytes_per_token": held.kv_bytes_per_token,
        "kv_bytes_per_request": held.request_bytes,
        "weights_bytes": int(plan.budget.weights_gib * 2**30),
        "max_concurrency_worst": round(held.concurrency_worst, 2),
        "max_concurrency_typical": round(held.concurrency_typical, 2),
        "admission": {
            "users": admitted.users,
            "max_running": admitted.max_running,
            "max_queued": admitted.max_queued,
            "queue_timeout_s": admitted.queue_timeout_s,
        },
        "flags": {flag.name: flag.value for flag in engine.flags},
        "reasons": {flag.name: flag.reason for flag in engine.flags},
        "left_to_engine": dict(plan.left_to_engine),
        "assumptions": list(plan.assumptions),
        "risks": risks(plan),
        "speed": [dataclasses.asdict(one) for one in plan.speed],
    }


def as_text(plan: Plan) -> str:
    """The plan for a person."""
    engine = plan.engines[0]
    parts = [
        f"{plan.name}: {plan.description}",
        f"vLLM {plan.engine_version}, image {engine.image}",
        "",
        _memory(plan),
        "",
        capacity_text(plan),
        "",
        "What the gateway lets in",
        *admission_rows(plan),
        "",
        "Flags given to the engine" if len(plan.engines) == 1 else "Flags given to each engine",
        *flag_rows(engine.flags),
        "",
        "Left to the engine's own default",
        *(_row(f"--{name}", reason) for name, reason in plan.left_to_engine),
        "",
        "Assumed",
        *bullets(plan.assumptions),
    ]
    warnings = risks(plan)
    if warnings:
        parts += ["", "What gives first", *bullets(warnings)]
    return "\n".join(parts) + "\n"


def bullets(lines: Iterable[str]) -> list[str]:
    """Sentences as a list."""
    return [textwrap.fill(line, 110, initial_indent="  - ", subsequent_indent="    ") for line in lines]


def flag_rows(flags: Iterable[Flag]) -> list[str]:
    """Flags, each with its reason."""
    return [_row(_given(flag), flag.reason) for flag in flags]


def admission_rows(plan: Plan) -> list[str]:
    """What the gateway lets in, each number with its reason."""
    return [_row(f"{name} {value:g}", reason) for name, value, reason in _admission(plan)]


def answer_as_json(answer: Advice) -> dict[str, Any]:
    """What limits the plan and what would hold more; concurrency in requests, `step_ms` milliseconds or null."""
    return {
        "gives_first": answer.gives_first,
        "step_ms": None if answer.step_ms is None else round(answer.step_ms, 2),
        "better": [
            {
                "title": choice.title,
                "settings": choice.settings,
                "kv_tokens": choice.kv_tokens,
                "max_concurrency_worst": round(choice.concurrency_worst, 2),
                "max_concurrency_typical": round(choice.concurrency_typical, 2),
            }
            for choice in answer.better
        ],
        "faster": [
            dataclasses.asdict(choice) | {"times": round(choice.times, 2), "read_gib": round(choice.read_gib, 2)}
            for choice in answer.faster
        ],
    }


def answer_as_text(answer: Advice) -> str:
    """The same for a person, to stand below `as_text`."""
    lines = ["", textwrap.fill(f"First limit: {answer.gives_first}", 110, subsequent_indent="  ")]
    if answer.better:
        lines += ["", "Would hold more (requests of the full context, of half; tokens)"]
    lines += [
        _row(f"{choice.concurrency_worst:8.1f} {choice.concurrency_typical:8.1f} {choice.kv_tokens:12,}", choice.title)
        for choice in answer.better
    ]
    if answer.faster:
        lines += ["", "Would be faster for one person (by the bytes that a token reads, at most)"]
    lines += [
        _row(f"{choice.times:8.1f} times", "; ".join(filter(None, (choice.title, choice.measured, choice.quality))))
        for choice in answer.faster
    ]
    return "\n".join(lines) + "\n"


def profiles(found: Iterable[tuple[str, Asked]]) -> str:
    """The profiles there are, by card."""
    parts = []
    for card, group in profiles_page.by_card(found):
        width = max(len(name) for name, _ in group) + 2
        parts.append(f"{card}\n" + "".join(f"  {name:{width}}{one.description}\n" for name, one in group))
    return "\n".join(parts)


_VERDICTS = {
    "default": "Default today: leave it out",
    "kept": "Kept",
    "stale": "Stale: rests on what is no longer so",
    "harmful": "Harmful when copied",
    "gone": "Refused by this vLLM",
    "on": "On, for speed",
    "off": "Off, for speed",
    "measured": "Measured here",
}


def explained(lines: tuple[FlagVerdict, ...]) -> str:
    """The flags by verdict, each with its reason and where that is written."""
    parts = []
    for verdict, title in _VERDICTS.items():
        found = [_row(_flag(line), f"{line.text} [{line.source}]") for line in lines if line.verdict == verdict]
        if found:
            parts += [title, *found, ""]
    return "\n".join(parts[:-1])


def _flag(line: FlagVerdict) -> str:
    return line.flag if " " in line.flag else f"--{line.flag}"


def risks(plan: Plan) -> list[str]:
    """What will not hold for everybody at once, in sentences."""
    worst, length = plan.capacity.concurrency_worst, plan.engines[0].max_model_len
    if worst >= plan.users:
        return []
    return [
        f"{plan.users} requests of {length} tokens at once do not fit the KV cache, {int(worst)} "
        f"do, {int(plan.capacity.concurrency_typical)} of half that length. Beyond that the engine preempts "
        "and recomputes; a shorter context, a smaller model or FP8 weights leave room for more"
    ]


def _admission(plan: Plan) -> tuple[tuple[str, float, str], ...]:
    admitted = plan.admission
    return (
        ("users", admitted.users, "so many ask at the same moment and nobody is refused: they run, or they wait"),
        ("max_running", admitted.max_running, admitted.why_running),
        ("max_queued", admitted.max_queued, admitted.why_queued),
        ("queue_timeout_s", admitted.queue_timeout_s, admitted.why_timeout),
    )


def _memory(plan: Plan) -> str:
    budget = plan.budget
    if not plan.gpus:
        return f"Memory: {budget.weights_gib:.2f} GiB weights + {budget.kv_gib:.0f} GiB KV cache (set in the profile)"
    rest = budget.total_gib - budget.usable_gib
    shares = (("#", budget.weights_gib), ("+", budget.overhead_gib), ("=", budget.kv_gib), (".", rest))
    bar = "".join(mark * round(BAR_WIDTH * size / budget.total_gib) for mark, size in shares)
    legend = (
        f"# weights {budget.weights_gib:.1f}   + context, activations, graphs {budget.overhead_gib:.1f}   "
        f"= KV cache {budget.kv_gib:.1f}   . left free {rest:.1f}"
    )
    cards = sum(engine.cards for engine in plan.engines)
    copies = f" for {len(plan.engines)} copies of the model" if len(plan.engines) > 1 else ""
    where = f" on {cards} cards{copies}" if cards > 1 else ""
    return f"Memory, {budget.total_gib:.1f} GiB{where}\n  [{bar}]\n  {legend}"


def capacity_text(plan: Plan) -> str:
    """What the KV cache of one model holds."""
    capacity, engine = plan.capacity, plan.engines[0]
    plain = capacity.kv_bytes_per_token * engine.max_model_len
    request = f"{capacity.request_bytes / 2**20:,.0f} MiB a request"
    each = f"{capacity.kv_bytes_per_token:,} bytes each" if capacity.request_bytes >= plain else request
    return (
        f"KV cache: {capacity.kv_tokens:,} tokens at {each}\n"
        f"  {capacity.concurrency_worst:.1f} requests of {engine.max_model_len:,} tokens fit at once (worst case), "
        f"{capacity.concurrency_typical:.1f} of half that length\n"
        f"  {plan.max_num_seqs} seats in the batch for {plan.users} users; "
        f"the gateway holds up to {plan.limits.max_in_flight} requests"
    )


def _given(flag: Flag) -> str:
    return " ".join([flag.words()[0], flag.shown()][: len(flag.words())])


def _row(left: str, right: str) -> str:
    indent = " " * 46
    lines = textwrap.wrap(right, 74, break_on_hyphens=False)  # a flag's name stays whole
    first = f"  {left:<44}{lines[0]}" if len(left) < 43 else f"  {left}\n{indent}{lines[0]}"
    return "\n".join([first, *(indent + line for line in lines[1:])])


def started(url: str, plan: Plan, key: str, program: str, *, kept: bool) -> str:
    """What a person needs once `plan` is up at `url`. `program`: how we were called; `kept`: `.env` was written."""
    names = ", ".join(f"{one.engines[0].served_name}{_how(one)}" for one in plan.models)
    lines = [
        f"OpenAI-compatible API: {url}/v1   model{'s' * bool(plan.parts)}: {names}",
        f"API key:               {key}",
    ]
    if kept:
        said = f".env now says PROFILE={plan.name}: `docker compose …` means this deployment"
        lines.append(f"Plain Docker Compose:  {said}")
    called = _called(program)
    lines += [f"Talk to it with:       {called} chat {plan.name}", f"Stop it with:          {called} down {plan.name}"]
    return "\n" + "\n".join(lines) + "\n"


def _how(model: Plan) -> str:
    return " (in turns)" if model.engines[0].turn else ""


def _called(program: str) -> str:
    """How a person types what was started as `program`: from the PATH, from its folder, or as a module."""
    path = Path(program)
    if path.name != "fullbatch":
        return "python -m fullbatch"
    if shutil.which("fullbatch") == program:
        return "fullbatch"
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else program


def status_line(found: dict[str, Any]) -> str:
    """One running deployment in a few lines."""
    lines = [
        f"{found['profile']} ({found['runtime']}): {'answers' if found['healthy'] else 'does not answer yet'} "
        f"at {found['gateway_url']}"
    ]
    planned, reported = found.get("kv_tokens_planned"), found.get("kv_tokens_reported")
    if planned and reported:
        lines.append(f"  KV cache: {planned:,} tokens planned, {reported:,} reported ({reported / planned - 1:+.1%})")
    for name, pid in found.get("processes", {}).items():
        lines.append(f"  {name}: process {pid}")
    return "\n".join(lines)
