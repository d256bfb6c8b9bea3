"""`fullbatch explain`: compares the flags of 2025 with a profile's plan. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from fullbatch import catalog
from fullbatch.planning.plan import Plan


@dataclass(frozen=True)
class FlagVerdict:
    """One flag: its verdict here (default, kept, stale, harmful, gone; of a setting for speed on, off), and why;
    `source` is where that is written."""

    flag: str
    verdict: str
    text: str
    source: str


def lines(made: Plan) -> tuple[FlagVerdict, ...]:
    """Every flag of the research note, then what else the profile gives the engine, then what is refused today, and
    what makes few people faster."""
    facts = catalog.flags()
    noted = [_noted(name, fact, made) for name, fact in facts["flags"].items()]
    ours = [
        FlagVerdict(flag.name, "kept", f"{flag.shown()}: {flag.reason}", "the plan")
        for flag in made.engines[0].flags
        if flag.name not in facts["flags"]
    ]
    left = [
        FlagVerdict(name, "default", f"not given: {reason}", "the plan")
        for name, reason in made.left_to_engine
        if name not in facts["flags"]
    ]
    gone = [FlagVerdict(name, "gone", fact["instead"], fact["source"]) for name, fact in facts["gone"].items()]
    fast = [FlagVerdict(f"profile: {one.name}", "on" if one.on else "off", one.why, one.source) for one in made.speed]
    return (*noted, *ours, *left, *gone, *fast)


def _noted(name: str, fact: dict[str, Any], made: Plan) -> FlagVerdict:
    takes = f"the note's {fact['takes']}: " if "takes" in fact else ""
    text, source = str(fact["text"]), str(fact["source"])
    given = {flag.name: flag for flag in made.engines[0].flags}.get(name)
    if given is None:
        left = dict(made.left_to_engine).get(name)
        return FlagVerdict(
            name, str(fact["verdict"]), f"not given here. {takes}{text}" if left else f"{takes}{text}", source
        )
    if "set in the profile" in given.reason:
        verdict = _own_verdict(given.value, fact)
        return FlagVerdict(name, verdict, f"this profile gives {given.value}. {takes}{text}", source)
    return FlagVerdict(name, "kept", f"{given.value} here: {given.reason}. {takes}{text}", source)


def _own_verdict(value: object, fact: dict[str, Any]) -> str:
    """A profile's own value is judged by its size where the facts name one, else as the note's was."""
    limit = fact.get("harmful_from")
    if limit is None:
        return str(fact["verdict"])
    return "harmful" if str(value).isdecimal() and int(str(value)) >= limit else "kept"


def as_json(found: tuple[FlagVerdict, ...]) -> list[dict[str, str]]:
    """The same for other programs."""
    return [asdict(line) for line in found]
