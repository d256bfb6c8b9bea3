"""The result of a self check, as it is kept in a file and in a report."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from common import faults
from loadtest.core.errors import UsageProblem
from loadtest.core.files import read_text

SCHEMA: Literal["fullbatch.selfcheck/1"] = "fullbatch.selfcheck/1"
_STRICT = ConfigDict(extra="forbid", frozen=True)


class ClockComparison(BaseModel):
    """One reported number beside the true one, in milliseconds."""

    model_config = _STRICT

    metric: str
    statistic: str
    reported_ms: float
    true_ms: float
    error_ms: float
    allowed_ms: float
    ok: bool


class LagQuantiles(BaseModel):
    """Percentiles in milliseconds."""

    model_config = _STRICT

    p50: float | None
    p95: float | None
    p99: float | None


class SelfCheck(BaseModel):
    """`users` streams of `tokens_per_s` each, from so many client processes: where a run can be believed if `ok`."""

    model_config = _STRICT

    schema_name: Literal["fullbatch.selfcheck/1"] = SCHEMA
    at: str
    users: int
    tokens_per_s: float
    requests: int
    ok: bool
    problems: tuple[str, ...]
    rows: tuple[ClockComparison, ...]
    token_lag_ms: LagQuantiles
    send_lag_ms: LagQuantiles
    loop_lag_p99_ms: float | None
    cpu_share: float | None
    processes: int = 1


def read(path: Path) -> SelfCheck:
    """UsageProblem when it is not what `selfcheck --out` wrote."""
    try:
        return SelfCheck.model_validate_json(read_text(path, "--selfcheck"))
    except ValidationError as error:
        first = faults.find(error, SelfCheck)[0]
        raise UsageProblem(
            f"--selfcheck {path}: not a self check ({first}); `selfcheck --out FILE` writes one"
        ) from error
