"""What tests/conftest.py promises, tried with a pytest run of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

SKIPS = """
import pytest

def test_passes(): pass

def test_skipped(): pytest.skip({reason!r})
"""
LEAVES_A_CHILD = """
import subprocess, sys

def test_leaves(): subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])

def test_tidy(): subprocess.run([sys.executable, "-c", ""], check=True)
"""


def _pytest(folder: Path, source: str, ci: str, *words: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_sample.py").write_text(source, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", f"--rootdir={folder}"]
    environment = os.environ | {"CI": ci, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""}
    return subprocess.run(
        [*command, *words, str(folder)], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("words", [(), ("-n", "2")], ids=["alone", "side by side"])
@pytest.mark.parametrize(("ci", "code"), [("", 0), ("false", 0), ("true", 1)])
def test_a_skip_is_named_and_fails_in_ci(tmp_path: Path, ci: str, code: int, words: tuple[str, ...]) -> None:
    run = _pytest(tmp_path, SKIPS.format(reason="no engine here"), ci, *words)
    assert run.returncode == code
    assert "test_sample.py::test_skipped: no engine here" in run.stdout
    assert ("FAILED test_sample.py::test_skipped: in CI a skip is a failure" in run.stdout) == bool(code)


def test_a_skipped_module_fails_in_ci_too(tmp_path: Path) -> None:
    run = _pytest(tmp_path, "import pytest\npytest.importorskip('no_such_module_here')\n\ndef test_x(): pass\n", "1")
    assert run.returncode != 0


def test_grafana_may_be_skipped_in_ci(tmp_path: Path) -> None:
    run = _pytest(tmp_path, SKIPS.format(reason="Grafana: no package carries it"), "true")
    assert run.returncode == 0
    assert "test_sample.py::test_skipped: Grafana: no package carries it" in run.stdout


@pytest.mark.parametrize("words", [(), ("-n", "2")], ids=["alone", "side by side"])
def test_a_child_left_behind_fails_its_test_and_is_ended(tmp_path: Path, words: tuple[str, ...]) -> None:
    run = _pytest(tmp_path, LEAVES_A_CHILD, "", *words)
    assert run.returncode == 1
    assert "2 passed, 1 error" in run.stdout
    assert "left running: " in run.stdout
