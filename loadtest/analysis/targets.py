"""Reads a target file. What is wrong in it is refused in one line, with all its faults and what would be right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from loadtest.analysis.points import METRICS, Slo
from loadtest.analysis.verdict import PerformanceTarget
from loadtest.core.errors import UsageProblem
from loadtest.core.sanitize import one_line
from loadtest.core.yaml_file import load

_VERSION = 1
_MOST_TOLD = 1000  # characters of faults
_KNOWN = tuple(field.name for field in fields(PerformanceTarget))
_SLO = tuple(field.name for field in fields(Slo))
_BOUNDS = ("below", "at_least", "times_better")
_MODES = ("closed", "burst", "open", "ramp", "soak")
_HIGHEST = 1e15
_TEXTS = ("name", "metric", "baseline", "side", "mode", "source")


@dataclass(frozen=True, slots=True)
class TargetFile:
    """`slo` is None when the file names none: goodput then is of the default SLO."""

    targets: tuple[PerformanceTarget, ...] = ()
    slo: Slo | None = None


def read_target_file(path: Path) -> TargetFile:
    """Raises UsageProblem with the file and the places in it."""
    content = load(path, "--target")
    if not isinstance(content, dict) or content.get("version") != _VERSION:
        raise UsageProblem(f"--target {path}: 'version: {_VERSION}' and a list 'targets' are expected")
    entries = content.get("targets")
    if not isinstance(entries, list) or not entries or not set(content) <= {"version", "slo", "targets"}:
        raise UsageProblem(f"--target {path}: exactly 'version', a list 'targets' and perhaps 'slo' are expected")
    faults = [fault for number, entry in enumerate(entries) for fault in _faults(entry, f"targets[{number}]")]
    faults += _slo_faults(content["slo"]) if "slo" in content else []
    faults += _twice(entries)
    if faults:
        raise UsageProblem(f"--target {path}: {one_line('; '.join(faults), _MOST_TOLD)}")
    slo = Slo(**{name: _number(content["slo"].get(name)) for name in _SLO}) if "slo" in content else None
    return TargetFile(tuple(_target(entry) for entry in entries), slo)


def _target(entry: Mapping[str, Any]) -> PerformanceTarget:
    bounds = {name: float(entry[name]) for name in _BOUNDS if name in entry}
    return PerformanceTarget(**{**entry, **bounds, "applies_to": dict(entry.get("applies_to") or {})})


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


def _faults(entry: object, where: str) -> Iterator[str]:
    if not isinstance(entry, dict):
        yield f"{where}: a mapping is expected"
        return
    for name in entry:
        if name not in _KNOWN:
            yield f"{where}: unknown '{name}' (valid: {', '.join(_KNOWN)})"
    for name in ("name", "users", "metric"):
        if name not in entry:
            yield f"{where}: '{name}' is missing"
    for name in _TEXTS:
        if name in entry and (not isinstance(entry[name], str) or not entry[name].strip()):
            yield f"{where}.{name}: '{entry[name]}' is not a text"
    for name in ("users", "requests_per_user"):
        if name in entry and not (type(entry[name]) is int and entry[name] >= 1):
            yield f"{where}.{name}: '{entry[name]}' is not a whole number of at least 1"
    yield from _choice_faults(entry, where)
    yield from _bound_faults(entry, where)


def _choice_faults(entry: Mapping[str, Any], where: str) -> Iterator[str]:
    for name, valid in (("metric", METRICS), ("mode", _MODES)):
        if isinstance(entry.get(name), str) and entry[name] not in valid:
            yield f"{where}.{name}: unknown '{entry[name]}' (valid: {', '.join(valid)})"
    applies = entry.get("applies_to")
    if applies is not None and not (isinstance(applies, dict) and all(isinstance(v, str) for v in applies.values())):
        yield f"{where}.applies_to: a mapping of texts is expected, such as {{gpu: RTX 4090}}"


def _bound_faults(entry: Mapping[str, Any], where: str) -> Iterator[str]:
    bounds = [name for name in _BOUNDS if name in entry]
    if len(bounds) != 1:
        yield f"{where}: exactly one of 'below', 'at_least' and 'times_better' is expected"
        return
    name = bounds[0]
    lowest = 0.0 if name != "times_better" else 1e-9
    if not _is_number(entry[name]) or entry[name] < lowest:
        least = "above 0" if lowest else "of at least 0"
        yield f"{where}.{name}: '{entry[name]}' is not a number {least}"
    if ("baseline" in entry) != (name == "times_better"):
        yield f"{where}: 'times_better' and 'baseline', the name of a side to compare with, go together"
    if entry.get("baseline") is not None and entry.get("baseline") == entry.get("side"):
        yield f"{where}: 'side' and 'baseline' are both '{entry['side']}'; two sides are needed"


def _is_number(value: object) -> bool:
    """As a float has it: `1e400` is none, nor is a whole number of 400 digits."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _HIGHEST


def _slo_faults(slo: object) -> Iterator[str]:
    if not isinstance(slo, dict) or not slo or not set(slo) <= set(_SLO):
        yield f"slo: a mapping with some of {', '.join(_SLO)} is expected"
        return
    for name, value in slo.items():
        if not _is_number(value) or not value > 0:
            yield f"slo.{name}: '{value}' is not a number above 0"


def _twice(entries: list[object]) -> Iterator[str]:
    names = [entry.get("name") for entry in entries if isinstance(entry, dict) and isinstance(entry.get("name"), str)]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        yield f"targets: two are named '{name}'"
