"""``python -m bench.simulation``: how far `fullbatch simulate` is off, on the loads of docs/results, as a table.

Step times were learned from the first H200 load with 1 and 50 users, and from the CPU load with 1 and 50; nothing else
was seen.
"""

from __future__ import annotations

import dataclasses
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

from fullbatch import catalog
from fullbatch.planning import plan, profile
from fullbatch.simulate import figures, fit, known, measured
from fullbatch.simulate.measured import COMPARED, MeasuredStage
from fullbatch.simulate.run import Gate, simulate
from fullbatch.simulate.scheduler import Engine

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results"
# What the engine of these cells had (their `sides`): an H200 with the memory of a 24 GB card.
_H200 = {
    "description": "Llama 3.1 8B on an H200", "model": "meta-llama/Llama-3.1-8B-Instruct", "hardware": {"gpu": "h200"},
    "users": 50, "context": 4096,
}  # fmt: skip
_SEATS, _TOKENS, _KV_TOKENS = 56, 2048, 40560
_CELLS = {
    "8b-gateway": "128 + 128",
    "8b-gateway-long": "3,000 + 16",
    "8b-gateway-mixed": "mixed lengths",
    "8b-lasting": "mixed, 2,000 requests",
    "8b-gateway-full": "512 + 512",
}
_LEARNED_USERS = (1, 50)


@dataclasses.dataclass(frozen=True)
class ErrorRow:
    """One load: simulated by measured, and the share of requests that were preempted, simulated."""

    load: str
    users: int
    learned: bool
    ratios: dict[str, float]
    preempted: float


def rows() -> Iterator[ErrorRow]:
    """Every load of the results, those that step times were learned from first."""
    wanted = profile.parse(_H200, "bench")
    times = known.find(wanted, plan.make("bench", wanted).engines[0]).times
    card = Engine(_SEATS, _TOKENS, _KV_TOKENS // 16, 16, times)
    for cell, name in _CELLS.items():
        for stage in measured.read(RESULTS / "2026-11-30-h200" / cell / "gateway" / "report.json.xz", "ours"):
            learned = cell == "8b-gateway" and stage.users in _LEARNED_USERS
            yield _row(f"H200, {name}", card, stage, None, learned)
    report = RESULTS / "2026-11-30-h200" / "8b-gateway-full" / "gateway" / "report.json.xz"
    for stage in measured.read(report, "ours-gateway"):
        yield _row("H200, 512 + 512, gateway", card, stage, Gate(), False)
    small = profile.load(RESULTS.parents[1], "cpu-smollm2")
    engine = plan.make("cpu-smollm2", small).engines[0]
    two_cores = known.engine_of(engine, known.find(small, engine).times)
    for stage in measured.read(RESULTS / "2026-11-30-cpu" / "report.json.xz", "cpu-smollm2"):
        yield _row("2 cores, 64 + 64", two_cores, stage, Gate(), stage.users in _LEARNED_USERS)


def _row(load: str, engine: Engine, stage: MeasuredStage, gate: Gate | None, learned: bool) -> ErrorRow:
    preempted = figures.of(simulate(engine, stage.load, gate=gate)).preempted
    return ErrorRow(load, stage.users, learned, fit.ratios(engine, stage, gate), preempted)


def errors(found: list[ErrorRow]) -> dict[str, tuple[float, float]]:
    """By figure: the median and the largest error of the loads that nothing was learned from, as shares."""
    unseen = [row for row in found if not row.learned]
    off = {name: sorted(abs(row.ratios[name] - 1) for row in unseen) for name in COMPARED}
    return {name: (statistics.median(values), values[-1]) for name, values in off.items()}


def main() -> None:
    found = list(rows())
    sys.stdout.write("| load | users | " + " | ".join(COMPARED) + " | preempted |\n")
    sys.stdout.write("| --- | ---: |" + " ---: |" * (len(COMPARED) + 1) + "\n")
    for row in found:
        ratios = " | ".join(f"{row.ratios[name]:.2f}" for name in COMPARED)
        mark = "*" if row.learned else ""
        sys.stdout.write(f"| {row.load}{mark} | {row.users} | {ratios} | {row.preempted:.1%} |\n")
    for what, place in (("median", 0), ("largest", 1)):
        values = " | ".join(f"{value[place]:.0%}" for value in errors(found).values())
        sys.stdout.write(f"| {what} error of those not learned from | | {values} | |\n")
    sys.stdout.write(f"\nvLLM {catalog.engine().version}. *: learned from this load.\n")


if __name__ == "__main__":
    main()
