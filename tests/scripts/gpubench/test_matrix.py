"""The bench's matrix: what it may say, and what a cell changes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fullbatch.core.errors import UsageError
from scripts.gpubench import matrix
from scripts.gpubench.matrix import Matrix


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"plans_for": "rtx9999"}, "no known card"),
        ({"models": {"m": {"repository": "nobody/nothing"}}}, "no model of the catalog"),
        ({"sides": {"s": {"about": "neither"}}}, "users (vLLM) or slots (llama.cpp)"),
        ({"cells": [{"name": "c", "model": "x", "sides": ["y"]}]}, "'x' is no model here; cell c: 'y' is no side here"),
        ({"sides": {"s": {"about": "s", "users": 8, "precision": "int4"}}}, "no 4-bit checkpoint of tiny"),
        ({"sides": {"s": {"about": "s", "slots": 1, "precision": "fp8"}}}, "precision is for vLLM by a plan"),
        ({"load": {"prompt_tokens": 0, "output_tokens": 1, "users": [1]}}, "load.prompt_tokens"),
    ],
)
def test_a_matrix_that_cannot_be_run_is_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    good = {
        "version": 1,
        "plans_for": "rtx4090",
        "load": {"prompt_tokens": 1, "output_tokens": 1, "users": [1]},
        "models": {"m": {"repository": "tiny"}},
        "sides": {"s": {"about": "one", "users": 8}},
        "cells": [{"name": "c", "model": "m", "sides": ["s"]}],
    }
    path = tmp_path / "matrix.yaml"
    path.write_text(yaml.safe_dump(good))
    assert matrix.read(path).cells[0].name == "c"
    path.write_text(yaml.safe_dump(good | change))
    with pytest.raises(UsageError) as refused:
        matrix.read(path)
    assert said in str(refused.value)


def test_a_cell_may_ask_for_another_load(shipped: Matrix) -> None:
    cell = next(cell for cell in shipped.cells if "prompt_tokens" in cell.load)
    load = shipped.load_of(cell)
    assert load.prompt_tokens == cell.load["prompt_tokens"] != shipped.load.prompt_tokens
    assert load.requests_per_user == shipped.load.requests_per_user
