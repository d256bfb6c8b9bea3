"""Reads a target file. Unknown names are refused with the names that are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from loadtest.errors import UsageProblem
from loadtest.verdict import METRICS, Target

_VERSION = 1
_KNOWN = tuple(field.name for field in fields(Target))


def read_targets(path: Path) -> list[Target]:
    """Raises UsageProblem with the file and the place in it."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageProblem(f"--target {path}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageProblem(f"--target {path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or content.get("version") != _VERSION:
        raise UsageProblem(f"--target {path}: 'version: {_VERSION}' and a list 'targets' are expected")
    entries = content.get("targets")
    if not isinstance(entries, list) or not entries or set(content) != {"version", "targets"}:
        raise UsageProblem(f"--target {path}: exactly 'version' and a list 'targets' are expected")
    return [_target(entry, f"--target {path}: targets[{number}]") for number, entry in enumerate(entries)]


def _target(entry: object, where: str) -> Target:
    if not isinstance(entry, dict):
        raise UsageProblem(f"{where}: a mapping is expected")
    unknown = [str(name) for name in entry if name not in _KNOWN]
    if unknown:
        raise UsageProblem(f"{where}: unknown '{unknown[0]}' (valid: {', '.join(_KNOWN)})")
    _check(entry, where)
    applies = {str(name): str(value) for name, value in (entry.get("applies_to") or {}).items()}
    return Target(
        name=str(entry["name"]),
        users=entry["users"],
        metric=entry["metric"],
        below=_bound(entry, "below"),
        at_least=_bound(entry, "at_least"),
        applies_to=applies,
        requests_per_user=entry.get("requests_per_user"),
        source=str(entry.get("source", "")),
    )


def _bound(entry: Mapping[str, Any], name: str) -> float | None:
    return float(entry[name]) if name in entry else None


def _check(entry: Mapping[str, Any], where: str) -> None:
    for name in ("name", "users", "metric"):
        if name not in entry:
            raise UsageProblem(f"{where}: '{name}' is missing")
    if entry["metric"] not in METRICS:
        raise UsageProblem(f"{where}.metric: unknown '{entry['metric']}' (valid: {', '.join(METRICS)})")
    for name in ("users", "requests_per_user"):
        if name in entry and (not isinstance(entry[name], int) or entry[name] < 1):
            raise UsageProblem(f"{where}.{name}: '{entry[name]}' is not a whole number of at least 1")
    bounds = [name for name in ("below", "at_least") if name in entry]
    if len(bounds) != 1:
        raise UsageProblem(f"{where}: exactly one of 'below' and 'at_least' is expected")
    if isinstance(entry[bounds[0]], bool) or not isinstance(entry[bounds[0]], int | float):
        raise UsageProblem(f"{where}.{bounds[0]}: '{entry[bounds[0]]}' is not a number")
    if not isinstance(entry.get("applies_to") or {}, dict):
        raise UsageProblem(f"{where}.applies_to: a mapping is expected")
