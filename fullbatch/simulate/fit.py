"""Learns a model of step times from what was measured: the numbers with which the simulation comes nearest."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from fullbatch.simulate import figures
from fullbatch.simulate.measured import COMPARED, MeasuredStage
from fullbatch.simulate.run import Gate, simulate
from fullbatch.simulate.scheduler import Engine
from fullbatch.simulate.step_times import StepTimes

# What is learned; the rest is reckoned from bytes, or 0.
LEARNED = ("step_s", "row_s", "prompt_s", "admit_s", "front_s")
# Of the squared log ratios: tails swing more.
_WEIGHTS = {"ttft_p95_ms": 0.25, "itl_p95_ms": 0.25}
# Each number is tried so much larger and smaller, then by less, until it is known to a hundredth.
_FIRST_STEP, _LAST_STEP = 2.0, 1.01


def fitted(engine: Engine, stages: Sequence[MeasuredStage], gate: Gate | None = None) -> StepTimes:
    """From `engine.times` on, one number after the other; `stages` of one server."""
    best, step = engine.times, _FIRST_STEP
    least = _wrong(engine, best, stages, gate)
    while step > _LAST_STEP:
        better = False
        for name in LEARNED:
            for factor in (step, 1 / step):
                other = dataclasses.replace(best, **{name: getattr(best, name) * factor})
                wrong = _wrong(engine, other, stages, gate)
                if wrong < least:
                    best, least, better = other, wrong, True
        if not better:
            step = math.sqrt(step)
    return best


def ratios(engine: Engine, stage: MeasuredStage, gate: Gate | None = None) -> dict[str, float]:
    """Simulated by measured, figure by figure."""
    simulated = figures.of(simulate(engine, stage.load, gate=gate))
    return {name: getattr(simulated, name) / stage.figures[name] for name in COMPARED}


def _wrong(engine: Engine, times: StepTimes, stages: Sequence[MeasuredStage], gate: Gate | None) -> float:
    tried = dataclasses.replace(engine, times=times)
    return sum(
        _WEIGHTS.get(name, 1.0) * math.log(max(ratio, 1e-9)) ** 2
        for stage in stages
        for name, ratio in ratios(tried, stage, gate).items()
    )
