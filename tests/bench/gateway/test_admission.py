"""The admission bench: its table from made-up cells, and one short run for real."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from bench.gateway import admission
from bench.gateway.admission import RoundResult


def test_ratios_are_within_a_round_and_preemptions_over_all(capsys: pytest.CaptureFixture[str]) -> None:
    cells = [
        RoundResult("128+128", 5, "direct", 1000, 20.0, 100, 0, 0.0),
        RoundResult("128+128", 5, "gateway", 980, 21.0, 100, 0, 0.02),
        RoundResult("128+128", 5, "direct", 500, 40.0, 50, 0, 0.0),
        RoundResult("128+128", 5, "gateway", 500, 40.5, 300, 1, 0.0),
    ]
    admission.report(cells, admission.parse(["--rounds", "2"]))
    out = capsys.readouterr().out
    assert "| 128+128 | 5 | direct | 750 |  | 30.0 |  | 0.00% | 0 |" in out
    assert "| 128+128 | 5 | gateway | 740 | 0.990 | 30.8 | +0.8 | 0.50% | 1 |" in out


def test_a_kind_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        admission.parse(["--kinds", "128+128,huge"])
    assert "no kind 'huge'; there are 128+128" in capsys.readouterr().err


def test_the_gateway_is_told_what_a_plan_tells_it(tmp_path: Path) -> None:
    options = admission.parse([])
    path = admission.write_config(tmp_path / "config", 1, [2, 3], options, None)
    engines = yaml.safe_load(path.read_text())["engines"]
    assert [engine["max_running"] for engine in engines] == [63, 63]
    path = admission.write_config(tmp_path / "before", 1, [2], options, 22)
    assert yaml.safe_load(path.read_text())["engines"][0]["max_running"] == 22


def test_a_short_run_measures_both_sides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A quick engine: it is the machinery that is looked at here, not the figures."""
    file = tmp_path / "cells.json"
    words = f"--rounds 1 --seconds 2 --users 2 --kinds 128+128 --step-ms 1 --replicas 2 --before --json {file}"
    monkeypatch.setattr("sys.argv", ["admission", *words.split()])
    assert admission.main() == 0
    cells = [RoundResult(**cell) for cell in json.loads(file.read_text())]
    assert [cell.side for cell in cells] == ["direct", "gateway", "max_running 22"]
    assert all(cell.failed == 0 and cell.tokens_per_s > 0 and cell.ttft_p50_ms > 0 for cell in cells)
    assert "| 128+128 | 2 | gateway |" in capsys.readouterr().out
