"""Engines that are easy to reckon with."""

from __future__ import annotations

from fullbatch.simulate.scheduler import Engine
from fullbatch.simulate.step_times import StepTimes

# A step takes 10 ms, whatever is in it; nothing else takes time.
EVEN = StepTimes(step_s=0.01, row_s=0.0, held_s=0.0, weights_s=0.0, prompt_s=0.0, admit_s=0.0, front_s=0.0)


def engine(seats: int = 8, tokens: int = 64, blocks: int = 1000, block: int = 16, times: StepTimes = EVEN) -> Engine:
    return Engine(seats, tokens, blocks, block, times)
