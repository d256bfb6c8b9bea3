"""What a race leaves: its data as JSON, the winner as a change of the profile's file, and what `explain` cites."""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from fullbatch.core.errors import HostError
from fullbatch.core.yamlfile import read_mapping
from fullbatch.planning.explain import FlagVerdict
from fullbatch.tune import verdict
from fullbatch.tune.arms import Arm, PrunedArm, merged
from fullbatch.tune.race import RaceResult
from fullbatch.tune.standing import PLAN
from fullbatch.tune.verdict import TuneVerdict

SCHEMA = "fullbatch.race/1"
FILE = "race.json"
_KEY = re.compile(r"([a-z_]+):")


@dataclass(frozen=True)
class RaceReport:
    """Everything that a report shows of a race."""

    profile: str
    question: Mapping[str, Any]
    arms: tuple[Arm, ...]
    pruned: tuple[PrunedArm, ...]
    forecast: Mapping[str, float]
    found: RaceResult
    verdict: TuneVerdict
    unit: str
    day: str

    def as_json(self) -> dict[str, Any]:
        """Plain values; `loadtest/report/race_page.py` draws them."""
        standing = self.found.standing
        return {
            "schema": SCHEMA,
            "profile": self.profile,
            "day": self.day,
            "question": dict(self.question),
            "unit": self.unit,
            "verdict": self.verdict.as_json(),
            "arms": [self._arm(PLAN, "today's plan"), *(self._arm(arm.name, arm.title) for arm in self.arms)],
            "pruned": [asdict(one) for one in self.pruned],
            "boots": [
                {"arm": one.arm, "round": one.round, "kind": one.kind, "value": math.exp(one.score.value),
                 "shown": one.score.shown, "at_s": round(one.at_s, 1)}
                for one in standing.boots
            ],
            "spent_s": round(self.found.spent_s, 1),
            "not_raced": self.found.not_raced,
            "final": verdict.as_json(self.found.final),
            "held_out": verdict.as_json(self.found.held_out),
        }  # fmt: skip

    def _arm(self, name: str, title: str) -> dict[str, Any]:
        standing = self.found.standing
        raced = name == PLAN or standing.mean(name) is not None
        return {
            "name": name,
            "title": title,
            "forecast": self.forecast.get(name),
            "failed": standing.failed.get(name),
            "value": standing.shown(name) if raced else None,
            "gain": verdict.as_json(standing.gain(name)) if raced and name != PLAN else None,
        }


def changed_text(root: Path, name: str, arm: Arm) -> tuple[str, str]:
    """The profile's file as it is, and with the arm's settings; what they do not touch stays as it was written."""
    path = root / "profiles" / f"{name}.yaml"
    old, before = path.read_text(encoding="utf-8"), read_mapping(path)
    after = merged(before, arm.changes)
    blocks = _blocks(old)
    for key in arm.changes:
        if key in after:
            blocks[key] = yaml.safe_dump({key: after[key]}, sort_keys=False, allow_unicode=True, width=120)
        else:
            blocks.pop(key, None)
    return old, "".join(blocks.values())


def _blocks(text: str) -> dict[str, str]:
    """The lines of each setting; those before the first have an empty name."""
    found, now = {"": ""}, ""
    for line in text.splitlines(keepends=True):
        key = _KEY.match(line)
        if key:
            now = key[1]
        found[now] = found.get(now, "") + (line if line.endswith("\n") else f"{line}\n")
    return found


def diff(name: str, old: str, new: str) -> str:
    """As `patch` takes it."""
    path = f"profiles/{name}.yaml"
    return "".join(difflib.unified_diff(old.splitlines(True), new.splitlines(True), f"a/{path}", f"b/{path}"))


def remember(root: Path, report: RaceReport, out: Path, *, applied: bool = False) -> None:
    """What `explain` cites from now on: the last race of a profile that came to an end."""
    path = _kept(root, report.profile)
    path.parent.mkdir(parents=True, exist_ok=True)
    said = {
        "verdict": report.verdict.word, "sentence": report.verdict.sentence, "day": report.day, "report": str(out),
        "profile": digest(root, report.profile), "applied": applied,
    }  # fmt: skip
    path.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")


def cited(root: Path, name: str) -> FlagVerdict | None:
    """A line for `explain`; None where the profile was never raced."""
    path = _kept(root, name)
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        changed = "; that is in the profile now" if said["applied"] else ""
        changed = changed if said["profile"] == digest(root, name) else "; the profile has changed since"
        text = f"raced {said['day']}: {said['verdict']}: {said['sentence']}{changed}"
        return FlagVerdict("fullbatch tune", "measured", text, str(said["report"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HostError(f"{path}: cannot be read; remove it, and race again: fullbatch tune {name} …") from error


def digest(root: Path, name: str) -> str:
    """Of the profile's file."""
    return hashlib.sha256((root / "profiles" / f"{name}.yaml").read_bytes()).hexdigest()


def _kept(root: Path, name: str) -> Path:
    return root / ".fullbatch" / "tuned" / f"{name}.json"
