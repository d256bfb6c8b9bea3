"""The last load test's report, of those in a folder that the gateway may only read. In a thread (`desk`)."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.core.errors import GatewayError, NotFound

SUMMARY, PAGE = "summary.json", "report.html"
# A summary has a kilobyte or two; a page of thousands of requests some megabytes.
MAX_SUMMARY_BYTES, MAX_PAGE_BYTES = 256 * 1024, 32 * 2**20
# Folders that are looked at.
MAX_FOLDERS = 10_000
_Text = Annotated[str, Field(max_length=1000)]


class ReportUnusable(GatewayError):
    """There is a report, and it cannot be read."""

    status, code = 503, "report_unusable"


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Spread(_Read):
    """Milliseconds."""

    p50: float
    p95: float


class StageSummary(_Read):
    """One stage of a side; None: not known."""

    side: _Text
    label: _Text
    requests: int
    failures: int
    output_tokens_per_s: float | None = None
    ttft_ms: Spread | None = None
    itl_ms: Spread | None = None


class LoadReport(_Read):
    """What the page shows of a run."""

    schema_: Annotated[Literal["fullbatch.loadtest.summary/1"], Field(alias="schema")]
    started_at: _Text
    workload: _Text
    verdict: _Text
    stages: Annotated[tuple[StageSummary, ...], Field(max_length=500)]


def last(folder: Path) -> dict[str, object] | None:
    """The newest report's figures and the name of its folder; None where there is none.

    Raises:
        ReportUnusable
    """
    newest = _newest(folder)
    if newest is None:
        return None
    try:
        report = LoadReport.model_validate_json(_bytes(newest / SUMMARY, MAX_SUMMARY_BYTES))
    except ValidationError:
        raise ReportUnusable(f"{newest.name}/{SUMMARY} is no summary of a load test; run one again") from None
    return {
        "name": newest.name,
        "started_at": report.started_at,
        "workload": report.workload,
        "verdict": report.verdict,
        "stages": [stage.model_dump() for stage in report.stages],
    }


def page(folder: Path) -> bytes:
    """The newest report as a page.

    Raises:
        NotFound: there is none. ReportUnusable
    """
    newest = _newest(folder)
    if newest is None:
        raise NotFound("there is no report of a load test")
    return _bytes(newest / PAGE, MAX_PAGE_BYTES)


def _newest(folder: Path) -> Path | None:
    """The subfolder whose summary was written last. Links are not followed: they may lead anywhere."""
    found: list[tuple[float, str]] = []
    try:
        with os.scandir(folder) as entries:
            for count, entry in enumerate(entries):
                if count >= MAX_FOLDERS:
                    break
                if entry.is_dir(follow_symlinks=False):
                    found += _written(Path(entry.path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ReportUnusable(f"the folder of reports cannot be read: {error.strerror or error}") from None
    return Path(folder, max(found)[1]) if found else None


def _written(folder: Path) -> list[tuple[float, str]]:
    try:
        about = (folder / SUMMARY).stat(follow_symlinks=False)
    except OSError:  # none, or one that may not be seen
        return []
    return [(about.st_mtime, folder.name)] if stat.S_ISREG(about.st_mode) else []


def _bytes(path: Path, most: int) -> bytes:
    name = f"{path.parent.name}/{path.name}"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ReportUnusable(f"{name} is no file")
            content = file.read(most + 1)
    except OSError as error:
        raise ReportUnusable(f"{name} cannot be read: {error.strerror or error}") from None
    if len(content) > most:
        raise ReportUnusable(f"{name} has more than {most // 1024} KiB; open it where it lies")
    return content
