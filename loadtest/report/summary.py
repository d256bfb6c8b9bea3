"""summary.json beside report.json: the figures that others show of a run, in a kilobyte or two."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loadtest.report import document, text_table

SCHEMA = "fullbatch.loadtest.summary/1"


def of(content: Mapping[str, Any]) -> dict[str, Any]:
    """Of what report.json holds; a row for each side and stage, times in milliseconds, None where not known."""
    return {
        "schema": SCHEMA,
        "started_at": content["started_at"],
        "workload": str(content["workload"].get("name") or "no name"),
        "verdict": content["verdict"]["headline"],
        "stages": [_stage(stage) for stage in text_table.rows(content)],
    }


def write(content: Mapping[str, Any], directory: Path) -> Path:
    """Raises UsageProblem when the file cannot be written."""
    return document.write(directory / "summary.json", json.dumps(of(content)).encode() + b"\n")


def _stage(stage: Mapping[str, Any]) -> dict[str, Any]:
    client = stage["client"]
    return {
        "side": stage["side"],
        "label": str(stage["label"]),
        "requests": client["requests"],
        "failures": sum(client["failures"].values()),
        "output_tokens_per_s": client["output_tokens_per_s"],
        "ttft_ms": _spread(client["ttft_ms"]),
        "itl_ms": _spread(client["itl_ms"]),
    }


def _spread(found: Mapping[str, float] | None) -> dict[str, float] | None:
    return None if found is None else {"p50": found["p50"], "p95": found["p95"]}
