"""Diagnoses a failed engine from its log: the cause in one sentence and the exact fix. Pure; the patterns are data."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from fullbatch.planning import plan_facts
from fullbatch.planning.plan import Plan
from fullbatch.planning.plan_facts import PlanFacts

# A traceback's frames stand this many lines or fewer before the exception.
TRACEBACK_LINES = 120
_DATA = Path(__file__).parent / "diagnoses.yaml"
# vLLM's "(EngineCore pid=1) ERROR 11-23 15:12:23 [core.py:1510] " before each line of a traceback.
_PREFIX = re.compile(r"^\(.*?\) (?:\w+ \S+ \S+ \[.*?\] )?")


@dataclass(frozen=True)
class Pattern:
    """One entry of diagnoses.yaml, which says what each field means."""

    name: str
    pattern: re.Pattern[str]
    cause: str
    change: str
    source: str | None = None
    wording: str | None = None
    elsewhere: str | None = None
    device: str | None = None
    after: re.Pattern[str] | None = None
    vague: bool = False


@dataclass(frozen=True)
class Finding:
    """`cause` in one sentence; `change` is a profile's key and value, or a command; `line` is what said so."""

    name: str
    cause: str
    change: str
    line: str


@cache
def patterns() -> tuple[Pattern, ...]:
    """Every failure known, the more telling first."""
    entries: list[dict[str, Any]] = yaml.safe_load(_DATA.read_text(encoding="utf-8"))
    for entry in entries:
        entry["pattern"] = re.compile(entry["pattern"])
        if "after" in entry:
            entry["after"] = re.compile(entry["after"])
    return tuple(Pattern(**entry) for entry in entries)


def findings(log: list[str], known: Plan | PlanFacts) -> list[Finding]:
    """What the log names, in its order: the first is the root, since the engine's processes fail in turn.

    `known`: the plan, or what is kept of it where it was started. Empty when the log names nothing known.
    """
    about = known if isinstance(known, PlanFacts) else plan_facts.of(known)
    lines = [_PREFIX.sub("", line.rstrip()) for line in log]
    clear: dict[str, Finding] = {}
    vague: dict[str, Finding] = {}
    for number, line in enumerate(lines):
        found = _first(lines, number, about.device)
        if found:
            entry, match = found
            finding = _filled(entry, match, about.words, line)
            (vague if entry.vague else clear).setdefault(entry.name, finding)
    return list((clear or vague).values())


def _first(lines: list[str], number: int, device: str) -> tuple[Pattern, re.Match[str]] | None:
    for entry in patterns():
        if entry.device not in (None, device):
            continue
        match = entry.pattern.search(lines[number])
        if match and (entry.after is None or _stands_before(entry.after, lines, number)):
            return entry, match
    return None


def _stands_before(pattern: re.Pattern[str], lines: list[str], number: int) -> bool:
    return any(pattern.search(line) for line in lines[max(0, number - TRACEBACK_LINES) : number])


def _filled(entry: Pattern, match: re.Match[str], words: Mapping[str, str], line: str) -> Finding:
    named = dict(words) | {name: text.strip() for name, text in match.groupdict("").items()}
    if "free" in named and "total" in named:
        free, total = float(named["free"]), float(named["total"])
        # A little below what is free: the engine's own context comes on top.
        named["share_free"] = f"{max(0.0, math.floor(free / total * 100 - 1) / 100):.2f}"
        named["gib_free"] = str(max(1, math.floor(free - 0.5)))
    return Finding(entry.name, entry.cause.format_map(named), entry.change.format_map(named), line)
