"""The bench's whole way for real, but for the card: vLLM on the CPU beside llama.cpp, cell by cell, then its table."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.e2e.test_compare import LLAMA, ROOT

pytestmark = [pytest.mark.engine]

MATRIX = {
    "version": 1,
    "plans_for": None,
    "load": {"prompt_tokens": 64, "output_tokens": 16, "users": [1, 3], "repeats": 2},
    "models": {"tiny": {"repository": "tiny"}},
    "sides": {
        "ours": {"about": "as planned", "users": 8, "context": 1024},
        "ollama": {"about": "one slot", "slots": 1, "slot_context": 1024},
        "broken": {
            "about": "a backend no engine has",
            "users": 8,
            "context": 1024,
            "args": {"attention-backend": "no-such"},
        },
    },
    "cells": [
        {"name": "pair", "model": "tiny", "sides": ["ours", "ollama"], "gateway": True},
        {"name": "alone", "model": "tiny", "sides": ["ours"], "refused": ["broken"]},
    ],
}


@pytest.mark.skipif(not LLAMA.exists(), reason="llama.cpp's server is not there; run scripts/llama-server install")
def test_cells_are_measured_kept_and_not_measured_again(free_port: Callable[[], int], tmp_path: Path) -> None:
    matrix, out, models = tmp_path / "matrix.yaml", tmp_path / "out", tmp_path / "models"
    matrix.write_text(yaml.safe_dump(MATRIX))
    common = ["--matrix", str(matrix), "--models", str(models)]
    bench("prepare", *common)
    where = ["--gateway-port", str(free_port()), "--engine-port", str(free_port())]
    words = [*common, "--out", str(out), "--llama", f"{ROOT}/scripts/llama-server run", *where]
    assert "2 of 2 cells are done" in bench("run", *words)
    pair, alone = (json.loads((out / name / "cell.json").read_text()) for name in ("pair", "alone"))
    assert pair["left_out"] == []
    assert pair["sides"]["ours"]["engine"].startswith("vLLM 0.")
    assert pair["sides"]["ours"]["calibration"]["error"] == 0
    assert pair["sides"]["ours"]["startup_seconds"] == alone["sides"]["ours"]["startup_seconds"]
    assert alone["refused"]["broken"]["started"] is False
    assert "NO-SUCH" in alone["refused"]["broken"]["engine_says"]
    for folder, sides in (
        ("pair", ["ours", "ollama"]),
        ("pair/gateway", ["ours", "ours-gateway"]),
        ("alone", ["server"]),
    ):
        report = json.loads((out / folder / "report.json").read_text())
        assert [side["name"] for side in report["sides"]] == sides
        assert all(stage["complete"] and not stage["client"]["failures"] for stage in report["stages"])
    assert "2 of 2 cells are done" in (again := bench("run", *words))
    assert "starting" not in again
    table = bench("table", "--matrix", str(matrix), "--out", str(out))
    # On a machine with other work the client may be late, and the row says so.
    assert re.search(r"\| ours-gateway( \(client late\))? \| 3 \|", table)
    assert "server" not in table
    assert "broken: the plan saw nothing wrong; the engine:" in table


def bench(*words: str) -> str:
    done = subprocess.run(
        [str(ROOT / "scripts" / "gpu-bench"), *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
