"""Stages of a load test's report: what was asked, and what came of it."""

from __future__ import annotations

import json
import lzma
import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fullbatch.core.errors import UsageError
from fullbatch.simulate.load import SimulatedLoad
from fullbatch.simulate.request import LoadRequest

# What is compared: names of `figures.LoadFigures`, and where they stand in a stage.
PLACES = {
    "output_tokens_per_s": ("output_tokens_per_s",),
    "ttft_p50_ms": ("ttft_ms", "p50"),
    "ttft_p95_ms": ("ttft_ms", "p95"),
    "itl_p50_ms": ("itl_ms", "p50"),
    "itl_p95_ms": ("itl_ms", "p95"),
}
COMPARED = tuple(PLACES)
# Of a report's folder; those that are kept for long are packed.
_FILES = ("report.json", "report.json.xz")


@dataclass(frozen=True)
class MeasuredStage:
    """One load of one side; `figures`: medians of its repeats, by the names of `LoadFigures`.

    `profile`: of ours, that the side was; None where it says nothing of one.
    """

    side: str
    profile: str | None
    users: int
    load: SimulatedLoad
    figures: dict[str, float]


def read(path: Path, side: str | None = None) -> list[MeasuredStage]:
    """The closed-loop stages of a `report.json` (or `.xz`, or its folder), of one side, in the order of their users.

    Raises:
        UsageError: it is no such report, or has several sides and none is named, or says no prompt tokens.
    """
    report = _json(path)
    try:
        rows = _rows(report)
        sides = sorted({str(one["side"]) for one in report["stages"]})
        wanted = _side(path, side, sides)
        groups: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for one in report["stages"]:
            if one["side"] == wanted and one["mode"] == "closed" and one["valid"]:
                groups[int(one["users"])].append(one)
        ours = _profile_of(report, wanted)
        found = [_stage(wanted, ours, stages, rows) for _, stages in sorted(groups.items())]
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise UsageError(f"{path}: is no whole report of fullbatch's load test ({error!r})") from error
    if not found:
        raise UsageError(f"{path}: no stage of {wanted} with users that ask one thing after the other (--mode closed)")
    return found


def _json(path: Path) -> Any:
    if path.is_dir():
        path = next((path / name for name in _FILES if (path / name).exists()), path / _FILES[0])
    try:
        if path.suffix == ".xz":
            with lzma.open(path, "rt", encoding="utf-8") as file:
                return json.load(file)
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise UsageError(f"{path}: {getattr(error, 'strerror', None) or 'cannot be read whole'}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: is not JSON; give the report.json of a load test, or its folder") from error


def _side(path: Path, side: str | None, sides: Sequence[str]) -> str:
    if side is None and len(sides) == 1:
        return sides[0]
    if side is None or side not in sides:
        raise UsageError(f"{path}: {'several sides' if side is None else f'no side {side}'}; name one of {sides}")
    return side


def _profile_of(report: Any, side: str) -> str | None:
    about = next((one.get("meta") for one in report.get("sides", []) if one.get("name") == side), report.get("meta"))
    named = about.get("profile") if isinstance(about, dict) else None
    return named if isinstance(named, str) else None


def _rows(report: Any) -> dict[int, list[dict[str, Any]]]:
    columns = report["records"]["columns"]
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in report["records"]["rows"]:
        record = dict(zip(columns, row, strict=True))
        found[int(record["stage"])].append(record)
    return found


def _stage(
    side: str, profile: str | None, stages: Sequence[dict[str, Any]], rows: dict[int, list[dict[str, Any]]]
) -> MeasuredStage:
    figures = {name: statistics.median(_figure(one, where) for one in stages) for name, where in PLACES.items()}
    asked = tuple(_asked(rows[int(stages[0]["number"])]))
    if not asked:
        raise ValueError(f"no request of stage {stages[0]['number']} is among its records")
    return MeasuredStage(side, profile, int(stages[0]["users"]), SimulatedLoad(users=asked), figures)


def _figure(stage: dict[str, Any], where: tuple[str, ...]) -> float:
    value: Any = stage["client"]
    for word in where:
        value = value[word]
    number = float(value)
    if not math.isfinite(number) or number <= 0:
        raise ValueError(f"{'.'.join(where)} is {value}")
    return number


def _asked(records: Sequence[dict[str, Any]]) -> Iterator[tuple[LoadRequest, ...]]:
    """User by user, in the order in which each asked."""
    users: dict[int, list[tuple[int, LoadRequest]]] = defaultdict(list)
    for one in records:
        prompt, output, cached = int(one["prompt_tokens"]), int(one["output_tokens"]), int(one["cached_tokens"] or 0)
        if prompt < 1 or output < 1 or not 0 <= cached <= prompt:
            raise ValueError(f"a request of {prompt} + {output} tokens, {cached} cached")
        asked = LoadRequest(prompt, output, cached)
        users[int(one["user"])].append((int(one["plan_us"]), asked))
    for _, mine in sorted(users.items()):
        yield tuple(asked for _, asked in sorted(mine, key=lambda one: one[0]))
