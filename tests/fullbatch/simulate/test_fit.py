"""Times that were planted are found again."""

from __future__ import annotations

import dataclasses

import pytest

from fullbatch.simulate import figures, fit, load
from fullbatch.simulate.measured import COMPARED, MeasuredStage
from fullbatch.simulate.run import simulate
from fullbatch.simulate.step_times import StepTimes
from tests.fullbatch.simulate.engines import engine

PLANTED = StepTimes(
    step_s=0.004, row_s=0.0002, held_s=1e-7, weights_s=0.003, prompt_s=2e-5, admit_s=0.003, front_s=0.01
)
BEGUN = dataclasses.replace(PLANTED, step_s=0.001, row_s=0.001, prompt_s=1e-4, admit_s=0.001, front_s=0.05)


def stage(users: int, prompt: int) -> MeasuredStage:
    asked = load.closed(users, 1, prompt, 20)
    found = figures.of(simulate(engine(seats=32, tokens=512, times=PLANTED), asked))
    return MeasuredStage("a", None, users, asked, {name: getattr(found, name) for name in COMPARED})


def test_planted_times_are_learned() -> None:
    kind = engine(seats=32, tokens=512, times=BEGUN)
    learned = fit.fitted(kind, [stage(1, 600), stage(24, 100)])
    other = stage(10, 400)
    ratios = fit.ratios(dataclasses.replace(kind, times=learned), other)
    assert all(0.9 < ratio < 1.1 for ratio in ratios.values()), ratios
    assert (learned.held_s, learned.weights_s) == (PLANTED.held_s, PLANTED.weights_s)
    before = fit.ratios(kind, other)
    assert before["ttft_p50_ms"] == pytest.approx(1, abs=10) and not 0.9 < before["itl_p50_ms"] < 1.1
