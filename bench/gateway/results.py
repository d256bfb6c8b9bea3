"""Rounds of cells -> medians, ratios and differences. Pure arithmetic.

A ratio or a difference is taken between two cells of one round, then the median over the rounds: the machine's speed
may change from one round to the next, and between two cells of a round less.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

from bench.gateway.cells import MAX_FOREIGN, CellFigures

DIRECT = "direct"

# Target -> cell's name -> figures.
Round = dict[str, dict[str, CellFigures]]


@dataclass(frozen=True, slots=True)
class Figure:
    """A median. ``quiet``: over rounds in which others left the machine alone; else over all there are."""

    value: float
    quiet: bool

    def text(self, form: str) -> str:
        return f"{self.value:{form}}{'' if self.quiet else '~'}"


@dataclass(slots=True)
class Results:
    """``once``: target -> what is measured once in a run (start, memory, disk), over the runs."""

    machine: str
    rounds: list[Round] = field(default_factory=list)
    once: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def add(self, other: Results) -> None:
        """Pool with another run."""
        self.rounds += other.rounds
        for name, measured in other.once.items():
            self.once.setdefault(name, []).extend(measured)
        self.absent = {name: why for name, why in {**self.absent, **other.absent}.items() if name not in self.once}

    def figure(self, target: str, cell: str, name: str) -> Figure | None:
        return self._over((target,), cell, lambda cells: cells[0][name], name)

    def ratio(self, target: str, other: str, cell: str, name: str) -> Figure | None:
        """Of one target's figure to another's in the same round."""
        return self._over((target, other), cell, lambda cells: cells[0][name] / (cells[1][name] or 1e-9), name)

    def added(self, target: str, cell: str, name: str) -> Figure | None:
        """A target's figure less direct's in the same round; never under 0."""
        return self._over((target, DIRECT), cell, lambda cells: max(0.0, cells[0][name] - cells[1][name]), name)

    def once_of(self, target: str, name: str) -> Figure | None:
        values = [measured[name] for measured in self.once.get(target, []) if name in measured]
        return Figure(statistics.median(values), True) if values else None

    def quiet_rounds(self, target: str) -> int:
        """Rounds in which every cell of the target was quiet."""
        cells = [each[target].values() for each in self.rounds if target in each]
        return sum(all(cell["foreign"] <= MAX_FOREIGN for cell in one) for one in cells)

    def _over(
        self, targets: tuple[str, ...], cell: str, value: Callable[[list[CellFigures]], float], name: str
    ) -> Figure | None:
        found = []
        for each in self.rounds:
            cells = [each.get(target, {}).get(cell, {}) for target in targets]
            if all(name in one for one in cells):
                found.append((max(one["foreign"] for one in cells), value(cells)))
        quiet = [number for foreign, number in found if foreign <= MAX_FOREIGN]
        numbers = quiet or [number for _, number in found]
        return Figure(statistics.median(numbers), bool(quiet)) if numbers else None
