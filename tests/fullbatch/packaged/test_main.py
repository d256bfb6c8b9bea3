"""The one-shot itself: the real package of the catalog, where it has been made by a start here before."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.fullbatch.packaged import small

MODEL = small.gguf()
WHEEL = small.wheel(MODEL)
PACKAGE = small.package(MODEL, WHEEL)


def test_a_python_without_numpy_is_told(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "numpy.py").write_text("raise ImportError('No module named numpy', name='numpy')\n")
    with small.index(WHEEL) as index:
        environment = small.environment(index.url)
        environment["PYTHONPATH"] += f":{tmp_path}/none"
        done = subprocess.run(
            small.words(PACKAGE, tmp_path, small.OWN_PYTHON), env=environment, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert "lacks numpy, which the engine's own Python has; run it with that one" in done.stderr
    assert "Traceback" not in done.stderr


def test_words_that_are_none_are_a_usage_error() -> None:
    done = subprocess.run(
        [small.OWN_PYTHON, "-P", "-m", "fullbatch.packaged", "--nonsense"], env=small.environment(""),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
