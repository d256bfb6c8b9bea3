"""The result of one check, for a person and for a program."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["ok", "warn", "fail"]
_INDENT = " " * 6


@dataclass(frozen=True)
class CheckResult:
    """`fail`: something will not work; `warn`: it works, but not as well or not for all. `fix` says what to do."""

    check: str
    severity: Severity
    finding: str
    fix: str = ""


def ok(check: str, finding: str) -> CheckResult:
    """Nothing to do."""
    return CheckResult(check, "ok", finding)


def warn(check: str, finding: str, fix: str) -> CheckResult:
    """It works, though not as well or not always."""
    return CheckResult(check, "warn", finding, fix)


def fail(check: str, finding: str, fix: str) -> CheckResult:
    """It will not work."""
    return CheckResult(check, "fail", finding, fix)


def as_text(verdicts: list[CheckResult]) -> str:
    """One line each, the fix below."""
    lines = []
    for one in verdicts:
        lines.append(f"{one.severity:<5} {one.check:<15} {one.finding}")
        if one.fix:
            lines.append(f"{_INDENT}{'':<15} fix: {one.fix}")
    return "\n".join(lines) + "\n"


def as_json(profile: str | None, runtime: str, verdicts: list[CheckResult]) -> dict[str, Any]:
    """For other programs; `works` is false when a check failed."""
    checks = [dataclasses.asdict(one) for one in verdicts]
    return {"profile": profile, "runtime": runtime, "works": works(verdicts), "checks": checks}


def works(verdicts: list[CheckResult]) -> bool:
    """Whether no check failed."""
    return all(one.severity != "fail" for one in verdicts)
