"""``python -m launcher``: its command line, and what it refuses."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.launcher.launchers import ROOT, Launcher, two


def run(*args: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "launcher", *map(str, args)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_mistakes_are_one_line_each(tmp_path: Path) -> None:
    file = tmp_path / "launcher.json"
    file.write_text(json.dumps({"card": "", "socket": "/run/x.sock", "models": []}))
    done = run(file)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 2
    assert run().returncode == 2
    assert run("--probe", tmp_path / "none.sock").returncode == 1


def test_a_second_launcher_is_refused(start_launcher: Callable[..., Launcher]) -> None:
    launcher = start_launcher(two())
    done = run(launcher.file)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "another one works in" in done.stderr
    assert run("--probe", launcher.socket).returncode == 0


def test_a_socket_that_cannot_be_made(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    file = tmp_path / "launcher.json"
    file.write_text(json.dumps({"card": "c", "socket": f"{place}", "folder": f"{tmp_path}/d", "models": two()}))
    done = run(file)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


@pytest.mark.parametrize("file", sorted((ROOT / "launcher").glob("*.py")), ids=lambda file: file.name)
def test_it_is_written_for_the_oldest_python(file: Path) -> None:
    ast.parse(file.read_text(), feature_version=(3, 10))


def test_it_needs_nothing_but_the_standard_library(tmp_path: Path) -> None:
    """In a folder of its own, without site-packages: as it is mounted into vLLM's image."""
    (tmp_path / "launcher").symlink_to(ROOT / "launcher")
    done = subprocess.run(
        [sys.executable, "-S", "-m", "launcher", "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
