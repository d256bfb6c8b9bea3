"""What a run was asked to do: frozen, checked, and written into the report."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loadtest.errors import UsageProblem
from loadtest.points import Slo
from loadtest.verdict import Target


@dataclass(frozen=True, slots=True)
class RunConfig:
    """Times in seconds. The API key is not in here, so that it cannot get into a report."""

    base_url: str
    model: str
    users: tuple[int, ...]
    requests_per_user: int
    max_tokens: int
    prompt_tokens: int
    warmup: int
    out: Path
    engine_metrics: tuple[str, ...] = ()
    pids: tuple[int, ...] = ()
    sample_interval: float = 1.0
    first_token_timeout: float = 600.0
    stall_timeout: float = 120.0
    max_lag_ms: float | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    targets: tuple[Target, ...] = ()
    slo: Slo | None = None

    def arguments(self) -> dict[str, Any]:
        """What the report keeps: everything that shapes the numbers."""
        names = (
            "base_url model users requests_per_user max_tokens prompt_tokens warmup engine_metrics pids "
            "sample_interval first_token_timeout stall_timeout max_lag_ms"
        ).split()
        return {name: getattr(self, name) for name in names}


def read_key(path: Path | None) -> str | None:
    """The first line that is neither empty nor a comment."""
    if path is None:
        return None
    for line in _read(path, "--api-key-file").splitlines():
        key = line.strip()
        if key and not key.startswith("#"):
            if not key.isascii() or not key.isprintable() or " " in key:
                raise UsageProblem(f"--api-key-file {path}: the key holds a blank or a character no key can have")
            return key
    raise UsageProblem(f"--api-key-file {path}: no key in it; one key on a line of its own is expected")


def read_meta(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        meta = json.loads(_read(path, "--meta"))
    except json.JSONDecodeError as error:
        raise UsageProblem(f"--meta {path}: not JSON: {error}") from error
    if not isinstance(meta, dict):
        raise UsageProblem(f"--meta {path}: a JSON object is expected")
    return meta


def _read(path: Path, option: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageProblem(f"{option} {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageProblem(f"{option} {path}: not UTF-8 text") from error
