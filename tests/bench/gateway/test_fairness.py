"""What the fairness bench makes of its samples."""

from __future__ import annotations

import pytest

from bench.gateway import fairness


def test_percentiles_are_of_the_samples_that_came() -> None:
    found = fairness.Ttft([0.4, 0.1, 0.3, 0.2], refused=3)
    assert (found.at(0.0), found.at(0.5), found.at(0.95)) == (0.1, 0.3, 0.4)


def test_the_report_gives_ratios_to_the_unloaded_and_jains_index(capsys: pytest.CaptureFixture[str]) -> None:
    parts = {"alone": fairness.Ttft([0.05]), "beside": fairness.Ttft([0.06, 0.1], refused=1)}
    fairness.report(parts, dict(zip(fairness.LENGTHS, [3.0, 1.0, 3.0, 1.0], strict=True)))
    text = capsys.readouterr().out
    assert "| beside | 2 | 1 | 80 | 100 | 2.00 |" in text
    assert "0.375, 0.125, 0.375, 0.125; Jain's index 0.8000" in text
