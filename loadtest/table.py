"""The table of a run, for a terminal: at most 120 columns. A dash is "not known"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

DASH = "–"
ENOUGH_SAMPLES = 10
HEADINGS = (
    "users",
    "total time",
    "tok/s",
    "TTFT p50/p95",
    "ITL p50/p95",
    "memory",
    "KV peak",
    "batch peak",
    "failures",
)


def number(value: float | None, digits: int = 0, unit: str = "") -> str:
    return DASH if value is None else f"{value:.{digits}f}{unit}"


def milliseconds(value: float | None) -> str:
    """Three figures are enough: 0.84, 12.4, 1240."""
    if value is None:
        return DASH
    return f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def memory(value: float | None) -> str:
    if value is None:
        return DASH
    return f"{value / 2**30:.1f} GiB" if value >= 2**30 else f"{value / 2**20:.0f} MiB"


def share(value: float | None) -> str:
    """A percentage with the digits that its size deserves."""
    if value is None:
        return DASH
    percent = value * 100
    digits = 2 if 0 < percent < 1 else 1 if 0 < percent < 10 else 0
    return f"{percent:.{digits}f} %"


def pair(spread: Mapping[str, float] | None) -> str:
    return f"{DASH} / {DASH}" if spread is None else f"{milliseconds(spread['p50'])} / {milliseconds(spread['p95'])} ms"


def peak(text: str, samples: int) -> str:
    """A peak of few samples is a lower bound: users of a closed loop end together, and the batch empties between."""
    return text if text == DASH or samples >= ENOUGH_SAMPLES else f"≥ {text}"


def cells(stage: Mapping[str, Any]) -> tuple[str, ...]:
    """One stage as the texts of its row."""
    client, server = stage["client"], stage["server"]
    failed = sum(client["failures"].values())
    return (
        str(stage["users"]) + ("" if stage["complete"] else "*"),
        number(client["total_time_s"], 2, " s"),
        number(client["output_tokens_per_s"], 1 if (client["output_tokens_per_s"] or 0) < 100 else 0),
        pair(client["ttft_ms"]),
        pair(client["itl_ms"]),
        memory(server["memory_peak_bytes"]),
        peak(share(server["kv_peak"]), server["samples"]),
        peak(number(server["batch_peak"]), server["samples"]),
        f"{failed} of {client['requests']}" if failed else "0",
    )


def text(stages: Sequence[Mapping[str, Any]]) -> str:
    """The whole table, numbers to the right."""
    rows = [HEADINGS, *(cells(stage) for stage in stages)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    if not all(stage["complete"] for stage in stages):
        lines.append("* stopped before its end")
    return "\n".join(lines)
