"""LoadFigures of a load."""

from __future__ import annotations

import pytest

from fullbatch.simulate import figures, load
from fullbatch.simulate.run import simulate
from tests.fullbatch.simulate.engines import engine


def test_its_figures() -> None:
    found = figures.of(simulate(engine(seats=2, blocks=10), load.closed(users=4, each=1, prompt=16, output=11)))
    assert found.requests == 4 and found.batch_peak == 2 and found.preempted == 0
    # The first begins alone; the others are there for the second step.
    assert found.total_time_s == pytest.approx(0.23) and found.output_tokens_per_s == pytest.approx(44 / 0.23)
    assert found.ttft_p50_ms == pytest.approx(70) and found.itl_p50_ms == pytest.approx(10)
    assert found.kv_peak == pytest.approx(0.4)
    assert found.as_json()["ttft_p95_ms"] == pytest.approx(128.5)


def test_percentiles() -> None:
    assert [figures.percentile([1, 2, 3, 4], share) for share in (0, 0.5, 1)] == [1, 2.5, 4]
    assert figures.percentile([], 0.5) == 0 and figures.percentile([7], 0.95) == 7


def test_an_answer_of_one_token_has_no_gaps() -> None:
    assert figures.of(simulate(engine(), load.closed(users=1, each=1, prompt=1, output=1))).itl_p95_ms == 0
