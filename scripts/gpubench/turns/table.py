"""What was measured of two models on one card, as Markdown. From the JSON alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from scripts.gpubench.matrix import TurnsCell
from scripts.gpubench.turns.run import read

_MIB = 1024


def markdown(cell: TurnsCell, out: Path) -> list[str]:
    """Its lines; empty where nothing of it was measured."""
    folder, lines = out / cell.name, []
    turns, race, people = (read(folder, name) for name in ("turns", "race", "people"))
    if turns.get("steps"):
        lines += [f"### {cell.name}: in turns", "", *_turns(cell, turns), ""]
    if race.get("variants"):
        lines += [f"### {cell.name}: two starts on one card", "", *_race(race), ""]
    if people.get("by_model"):
        lines += [f"### {cell.name}: {cell.people} people through the gateway", "", *_people(people), ""]
    missing = [
        name for name, part in (("turns", turns), ("race", race), ("people", people)) if part.get("status") != "done"
    ]
    return [*lines, f"Not whole: {', '.join(missing)}.", ""] if lines and missing else lines


def _turns(cell: TurnsCell, found: dict[str, Any]) -> Iterator[str]:
    yield "| model | first start s | later starts s | wakes s (guess) | first token s | falls asleep s | same texts |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for name in cell.models:
        guess = found["planned"]["engines"][name]["wake_guess_s"]
        wakes = _of(found, name, "wake", "ready")
        starts = [step["load"]["seconds"] for step in _of(found, name, "start", "ready")]
        same = [step["same_texts"] for step in wakes if "same_texts" in step]
        cells = [
            name, _number(starts[:1]), _number(starts[1:]),
            f"{_number([step['load']['seconds'] for step in wakes])} ({guess})",
            _number([step["first_token_s"] for step in wakes if "first_token_s" in step]),
            _number([step["seconds"] for step in _of(found, name, "sleep", "asleep")]), f"{sum(same)} of {len(same)}",
        ]  # fmt: skip
        yield f"| {' | '.join(cells)} |"
    yield ""
    yield from _memory(cell, found)
    yield from _guard(found)


def _of(found: dict[str, Any], name: str, did: str, state: str) -> list[dict[str, Any]]:
    return [one for one in found["steps"] if (one["model"], one["did"], one["state"]) == (name, did, state)]


def _memory(cell: TurnsCell, found: dict[str, Any]) -> Iterator[str]:
    """What sleepers keep of the card: after each sleep, by how many sleep then."""
    states: dict[str, str] = {}
    kept: dict[int, list[float]] = {}
    for step in found["steps"]:
        states[step["model"]] = step["state"]
        sleepers = list(states.values()).count("asleep")
        if sleepers and "ready" not in states.values() and None not in (step["card_mib"], found["empty_mib"]):
            kept.setdefault(sleepers, []).append((step["card_mib"] - found["empty_mib"]) / _MIB)
    for count, values in sorted(kept.items()):
        ends = f"{min(values):.2f} to {max(values):.2f} GiB of the card"
        yield f"- {count} asleep keep {ends}; counted: {found['planned']['kept_gib'] * count:.1f}."
    for name in cell.models:
        engine = [one["engine_gib"] for one in _of(found, name, "sleep", "asleep") if one["engine_gib"] is not None]
        if engine:
            yield f"- {name} asleep holds {max(engine):.2f} GiB itself."
        of = found.get("models", {}).get(name)
        if of:
            twice = "the same" if of["texts"] == of["again"] else "not the same"
            tokens = f"{of['kv_tokens_reported']} KV tokens, planned {of['kv_tokens_planned']}"
            yield f"- {name}: {tokens}; asked twice without a sleep: {twice}."
    failed = [f"{step['model']}: {step['did']}: {step['why']}" for step in found["steps"] if step["state"] == "failed"]
    yield from (f"- Failed: {one}" for one in failed)


def _guard(found: dict[str, Any]) -> Iterator[str]:
    for name, asked in found.get("guard", {}).items():
        others = {route: status for route, status in asked.items() if status != 404}
        told = f"; {others}" if others else ""
        yield f"- Guard of {name}: {len(asked) - len(others)} of {len(asked)} routes are 404{told}."
    for one in found.get("refused", []):
        yield f"- A second start {one['when']}: {one['status']}, {one['why']}."


def _race(found: dict[str, Any]) -> Iterator[str]:
    yield "| start | model | KV tokens | planned | difference | start s | or it ended |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | --- |"
    for name, engines in found["variants"].items():
        for model, one in engines.items():
            tokens, said = one["kv_tokens"], one["kv_tokens_planned"]
            difference = f"{tokens / said - 1:+.1%}" if tokens else "–"
            seconds = "–" if one["seconds"] is None else f"{one['seconds']:.1f}"
            yield f"| {name} | {model} | {tokens or '–'} | {said} | {difference} | {seconds} | {one['why'][:200]} |"


def _people(found: dict[str, Any]) -> Iterator[str]:
    yield "| model | asked | answered | by another model | failed | p50 s | p95 s | longest s |"
    yield "| --- | ---: | ---: | ---: | --- | ---: | ---: | ---: |"
    for name, one in found["by_model"].items():
        failed = ", ".join(f"{count} x {status}" for status, count in one["failed"].items()) or "0"
        numbers = " | ".join("–" if one[key] is None else f"{one[key]:.2f}" for key in ("p50_s", "p95_s", "max_s"))
        yield f"| {name} | {one['asked']} | {one['answered']} | {one['by_another']} | {failed} | {numbers} |"
    yield ""
    for card in found["cards"] if isinstance(found["cards"], list) else []:
        loads = ", ".join(f"{one['name']} {one['loads']}, {one['failures']} failed" for one in card["models"])
        lost = f"{card['lost_s']:.1f} s of {found['seconds']:.0f} s ({card['lost_s'] / found['seconds']:.0%})"
        yield f"- {card['card']}: {lost} lost to switching; loads: {loads}."


def _number(values: list[float]) -> str:
    """The median, and the ends where there are several."""
    if not values:
        return "–"
    return f"{median(values):.2f}" + (f" ({min(values):.2f} to {max(values):.2f})" if len(values) > 1 else "")
