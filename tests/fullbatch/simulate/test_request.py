"""Times of one answer."""

from __future__ import annotations

import pytest

from fullbatch.simulate.request import LoadRequest, SimulatedAnswer


def test_its_times() -> None:
    answer = SimulatedAnswer(LoadRequest(8, 3), user=0, sent=1.0, tokens_at=[1.5, 1.6, 1.8])
    assert answer.ttft == 0.5 and answer.gaps == [pytest.approx(0.1), pytest.approx(0.2)]
    assert SimulatedAnswer(LoadRequest(8, 1), user=0, sent=1.0, tokens_at=[1.5]).gaps == []
