"""Reads a target file. What is wrong in it is refused in one line, with all its faults and what would be right."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from common import faults
from loadtest.analysis.points import METRICS, Slo
from loadtest.analysis.verdict import PerformanceTarget
from loadtest.core.errors import UsageProblem
from loadtest.core.files import load_yaml
from loadtest.workload.arrivals import Mode

_FROZEN = ConfigDict(extra="forbid", frozen=True, strict=True)
_HIGHEST = 1e15  # as a float has it exactly enough; `1e400` is no number, nor is a whole one of 400 digits


def _known_metric(text: str) -> str:
    if text not in METRICS:
        raise ValueError(f"unknown '{text}' (valid: {', '.join(METRICS)})")
    return text


_Text = Annotated[str, Field(pattern=r"\S")]
_Whole = Annotated[int, Field(ge=1)]
_FromZero = Annotated[float, Field(ge=0, le=_HIGHEST, allow_inf_nan=False)]
_AboveZero = Annotated[float, Field(gt=0, le=_HIGHEST, allow_inf_nan=False)]


class _TargetEntry(BaseModel):
    """One target as it is written."""

    model_config = _FROZEN

    name: _Text
    users: _Whole
    metric: Annotated[_Text, AfterValidator(_known_metric)]
    below: _FromZero | None = None
    at_least: _FromZero | None = None
    times_better: _AboveZero | None = None
    baseline: _Text = ""
    side: _Text = ""
    mode: Mode | None = None
    applies_to: dict[str, str] | None = None
    requests_per_user: _Whole | None = None
    source: _Text = ""

    @model_validator(mode="after")
    def _bounds_fit(self) -> Self:
        if [self.below, self.at_least, self.times_better].count(None) != 2:
            raise ValueError("write exactly one of 'below', 'at_least' and 'times_better'")
        if bool(self.baseline) != (self.times_better is not None):
            raise ValueError(
                "'times_better' and 'baseline' (the side to compare with) go together; write both or neither"
            )
        if self.baseline and self.baseline == self.side:
            raise ValueError(f"'side' and 'baseline' are both '{self.side}'; name two sides")
        return self

    def target(self) -> PerformanceTarget:
        return PerformanceTarget(**{**self.model_dump(), "mode": self.mode or "", "applies_to": self.applies_to or {}})


class _SloEntry(BaseModel):
    model_config = _FROZEN

    ttft_ms: _AboveZero | None = None
    tpot_ms: _AboveZero | None = None
    e2e_ms: _AboveZero | None = None

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if not self.model_fields_set:
            raise ValueError(f"some of {', '.join(type(self).model_fields)} are expected")
        return self


class _Content(BaseModel):
    model_config = _FROZEN

    version: Literal[1]
    slo: _SloEntry | None = None
    targets: Annotated[list[_TargetEntry], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [entry.name for entry in self.targets]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise ValueError(f"targets: two are called '{twice}'; give each another name")
        return self


@dataclass(frozen=True, slots=True)
class TargetFile:
    """`slo` is None when the file names none: goodput then is of the default SLO."""

    targets: tuple[PerformanceTarget, ...] = ()
    slo: Slo | None = None


def read_target_file(path: Path) -> TargetFile:
    """Raises UsageProblem with the file and the places in it."""
    content = load_yaml(path, "--target")
    if not isinstance(content, dict) or content.get("version") != 1:
        raise UsageProblem(f"--target {path}: write 'version: 1' and a list 'targets'")
    try:
        found = _Content.model_validate(content)
    except ValidationError as error:
        raise UsageProblem(f"--target {path}: {faults.told(error, _Content)}") from error
    slo = Slo(**found.slo.model_dump()) if found.slo else None
    return TargetFile(tuple(entry.target() for entry in found.targets), slo)
