"""What a step costs."""

from __future__ import annotations

import pytest

from fullbatch.simulate.step_times import NAMES, StepTimes

TIMES = StepTimes(step_s=1.0, row_s=0.1, held_s=0.001, weights_s=4.0, prompt_s=0.01, admit_s=9.0, front_s=9.0)


def test_weights_are_read_while_prompts_are_computed() -> None:
    assert TIMES.step(rows=2, held=100, prompt_tokens=0) == pytest.approx(1 + 0.2 + 0.1 + 4)
    assert TIMES.step(rows=1, held=0, prompt_tokens=399) == pytest.approx(1 + 0.1 + 4)
    assert TIMES.step(rows=1, held=0, prompt_tokens=1000) == pytest.approx(1 + 0.1 + 10)


def test_it_is_written_with_four_digits_by_its_names() -> None:
    assert tuple(TIMES.as_json()) == NAMES
    assert StepTimes(*([0.123456789] * len(NAMES))).as_json()["row_s"] == 0.1235
