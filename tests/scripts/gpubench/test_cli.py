"""`scripts/gpu-bench` as a person meets it, without a card."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.gpubench import cli, matrix

RESULTS = Path(__file__).resolve().parents[3] / "docs" / "results"


def test_the_list_has_a_line_a_cell(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    shipped = matrix.read(matrix.PLACE / "matrix.yaml")
    assert len(lines) == len(shipped.cells) + len(shipped.turns)
    assert "1, 5, 10, 50, 100 at once" in lines[0]


def test_an_unknown_cell_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", "70b-engines"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("gpu-bench: no such cell: 70b-engines; there are: 8b-gateway, ")
    assert said.count("\n") == 1


def test_without_a_card_nothing_is_started(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "--out", str(tmp_path / "out")]) == 4
    assert "PyTorch finds no card to measure" in capsys.readouterr().err
    assert not (tmp_path / "out" / "predictions.json").exists()


def test_results_that_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["table", "--out", str(tmp_path)]) == 2
    assert "no results there" in capsys.readouterr().err


def test_results_are_read_by_the_matrix_that_they_were_made_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["table", "--out", str(RESULTS / "2026-11-23-h100")]) == 0
    assert "8b-ollama" in capsys.readouterr().out  # a cell that the shipped matrix no longer has
