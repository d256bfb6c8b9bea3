"""`scripts/NAME --help` says what the script does, and does nothing else."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted(path.name for path in (ROOT / "scripts").iterdir() if path.is_file() and os.access(path, os.X_OK))


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_is_printed_and_nothing_is_done(name: str) -> None:
    done = subprocess.run(
        [ROOT / "scripts" / name, "--help"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert name in done.stdout or name == "demo"  # which is `fullbatch demo`
    assert max(map(len, done.stdout.splitlines())) <= 120


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_readme_lists_it(name: str) -> None:
    assert re.search(rf"^\| `{name}` \|", (ROOT / "scripts" / "README.md").read_text(), re.MULTILINE)
