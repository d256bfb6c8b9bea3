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


def run_pytest(folder: Path, source: str, ci: str, *words: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_sample.py").write_text(source, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", f"--rootdir={folder}"]
    command += ["-p", "xdist.plugin"] if "-n" in words else []
    # Without the plugins of all that is installed, which take longer to import than these tests to run.
    environment = os.environ | {"CI": ci, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    return subprocess.run(
        [*command, *words, str(folder)], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("words", [(), ("-n", "2")], ids=["alone", "side by side"])
@pytest.mark.parametrize(("ci", "code"), [("", 0), ("false", 0), ("true", 1)])
def test_a_skip_is_named_and_fails_in_ci(tmp_path: Path, ci: str, code: int, words: tuple[str, ...]) -> None:
    run = run_pytest(tmp_path, SKIPS.format(reason="no engine here"), ci, *words)
    assert run.returncode == code
    assert "test_sample.py::test_skipped: no engine here" in run.stdout
    assert ("FAILED test_sample.py::test_skipped: in CI a skip is a failure" in run.stdout) == bool(code)


def test_a_skipped_module_fails_in_ci_too(tmp_path: Path) -> None:
    run = run_pytest(tmp_path, "import pytest\npytest.importorskip('no_such_module_here')\n\ndef test_x(): pass\n", "1")
    assert run.returncode != 0


def test_grafana_may_be_skipped_in_ci(tmp_path: Path) -> None:
    run = run_pytest(tmp_path, SKIPS.format(reason="Grafana: no package carries it"), "true")
    assert run.returncode == 0
    assert "test_sample.py::test_skipped: Grafana: no package carries it" in run.stdout


@pytest.mark.parametrize("words", [(), ("-n", "2")], ids=["alone", "side by side"])
def test_a_child_left_behind_fails_its_test_and_is_ended(tmp_path: Path, words: tuple[str, ...]) -> None:
    run = run_pytest(tmp_path, LEAVES_A_CHILD, "", *words)
    assert run.returncode == 1
    assert "2 passed, 1 error" in run.stdout
    assert "left running: " in run.stdout


MARKED = "import pytest\n\n@pytest.mark.docker\ndef test_marked(): pass\n\ndef test_plain(): pass\n"


def test_a_run_of_one_marker_imports_no_file_without_it(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text("raise SystemExit('imported')\n")
    run = run_pytest(tmp_path, MARKED, "", "-m", "docker")
    assert run.returncode == 0 and "1 passed, 1 deselected" in run.stdout
    run = run_pytest(tmp_path, MARKED, "", "-m", "docker or engine")
    assert "imported" in run.stdout + run.stderr


def test_a_run_without_markers_imports_no_file_that_is_marked_whole(tmp_path: Path) -> None:
    """Nor the conftest.py of a folder of such files; and no test of another file is lost."""
    folder = tmp_path / "real"
    folder.mkdir()
    (folder / "conftest.py").write_text("raise SystemExit('imported')\n")
    text = "import pytest\n\npytestmark = [pytest.mark.timeout(9), pytest.mark.engine]\nraise SystemExit('imported')\n"
    (folder / "test_real.py").write_text(text)
    run = run_pytest(tmp_path, MARKED, "", "-m", "not engine and not docker")
    assert run.returncode == 0 and "1 passed, 1 deselected" in run.stdout
    (folder / "test_plain.py").write_text("def test_plain(): pass\n")
    assert (
        "imported" in (run := run_pytest(tmp_path, MARKED, "", "-m", "not engine and not docker")).stdout + run.stderr
    )


def test_a_marker_that_comes_from_another_file_is_refused(tmp_path: Path) -> None:
    """A run of this marker alone would not see the file, and pass."""
    (tmp_path / "elsewhere.py").write_text("import pytest\n\nneeds_docker = pytest.mark.docker\n")
    run = run_pytest(tmp_path, "from elsewhere import needs_docker\n\n@needs_docker\ndef test_x(): pass\n", "")
    assert run.returncode == 4
    assert "test_sample.py: write pytest.mark.docker in this file" in run.stdout + run.stderr
