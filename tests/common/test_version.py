"""The version stands in one place."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import gateway
from common.version import VERSION

ROOT = Path(__file__).resolve().parents[2]


def test_everything_takes_it_from_one_line() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" not in project["project"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "common.version.VERSION"}
    assert gateway.__version__ == VERSION
    assert re.fullmatch(r"\d+\.\d+\.\d+", VERSION)


def test_no_other_module_writes_it() -> None:
    found = subprocess.run(
        ["git", "grep", "-lF", f'"{VERSION}"', "--", "*.py", "*.toml", "scripts", ":!tests"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.stdout.split() == ["common/version.py"]
