"""Compares the first side of a run with each other side, stage by stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loadtest.analysis.points import Point
from loadtest.analysis.ratio import Compared, compare, unlike

SHOWN = {
    "total_time_s": ("total time", "s"),
    "output_tokens_per_s": ("tokens/s", ""),
    "ttft_p50_ms": ("TTFT p50", "ms"),
    "ttft_p95_ms": ("TTFT p95", "ms"),
    "itl_p50_ms": ("ITL p50", "ms"),
    "e2e_p95_ms": ("E2E p95", "ms"),
    "goodput_per_s": ("goodput", "answers/s"),
}


@dataclass(frozen=True, slots=True)
class SideBySideRow:
    """One stage of two sides. `cells`: by metric, None where one side does not know it; `unlike`: why not compared."""

    own: str
    other: str
    label: str
    cells: tuple[Compared | None, ...]
    unlike: str | None


def rows(found: Sequence[Point], sides: Sequence[str]) -> list[SideBySideRow]:
    """The first side against every other, at every stage that both have."""
    made = []
    for other_side in sides[1:]:
        others = {point.position: point for point in found if point.side == other_side}
        for own in (point for point in found if point.side == sides[0] and point.position in others):
            other = others[own.position]
            reason = unlike(own, other)
            cells = tuple(None if reason else compare(own, other, metric) for metric in SHOWN)
            made.append(SideBySideRow(own.side, other_side, own.label, cells, reason))
    return made


def losses(made: Sequence[SideBySideRow]) -> list[str]:
    """Where the other side is better, in words. Without an interval it is said so: it may be chance."""
    lines = []
    for row in made:
        for cell in row.cells:
            if cell is None or cell.better.value >= 1 or (cell.better.high is not None and not cell.surely_worse):
                continue
            name, unit = SHOWN[cell.metric]
            numbers = f"{cell.other.value:.4g} against {cell.own.value:.4g} {unit}".rstrip()
            unsure = "" if cell.surely_worse else "; no interval, it may be chance"
            lines.append(f"{row.other} wins at {row.label}: {name} {numbers} ({1 / cell.better.value:.2f}×{unsure})")
    return lines


def times(cell: Compared | None) -> tuple[str, str]:
    """How many times better, and its interval, as text."""
    if cell is None:
        return "–", ""
    within = cell.better
    held = f"{within.low:.2f} to {within.high:.2f}" if within.low is not None and within.high is not None else ""
    return f"{within.value:.2f}×", held
