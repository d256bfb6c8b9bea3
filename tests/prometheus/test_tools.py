"""scripts/prometheus-tools, seen from outside."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "prometheus-tools"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A fresh clone's copy of the script."""
    (tmp_path / "scripts").mkdir()
    return Path(shutil.copy(SCRIPT, tmp_path / "scripts"))


def test_tools_run_and_a_second_run_changes_nothing(tools: Path) -> None:
    before = (tools / "promtool").stat().st_mtime_ns
    run = subprocess.run([SCRIPT], capture_output=True, text=True, check=True)
    assert [line.split(", version ")[0] for line in run.stdout.splitlines()] == [
        "prometheus",
        "promtool",
        "alertmanager",
        "amtool",
        "node_exporter",
    ]
    assert (tools / "promtool").stat().st_mtime_ns == before


def test_without_apt_it_says_what_to_do_in_one_line(clone: Path, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sh", "dirname"):
        (programs / name).symlink_to(shutil.which(name) or f"/bin/{name}")
    run = subprocess.run([clone], env={"PATH": str(programs)}, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stderr == (
        "scripts/prometheus-tools: apt-get not found;"
        " put prometheus 3.5 or newer with promtool, alertmanager with amtool, and node_exporter into"
        " .fullbatch/tools/bin by hand\n"
    )


def test_a_mirror_that_does_not_answer_leaves_nothing_behind(clone: Path, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    fake = programs / "apt-get"
    fake.write_text(
        '#!/bin/sh\n[ "$1" = indextargets ] && echo main Debian http://127.0.0.1:1/debian/ && exit\nexit 100\n'
    )
    fake.chmod(0o755)
    environment = {"PATH": f"{programs}:{os.environ['PATH']}"}
    run = subprocess.run([clone], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stderr.startswith("scripts/prometheus-tools: apt-get update failed")
    assert list((tmp_path / ".fullbatch" / "tools").iterdir()) == []


def test_a_host_without_a_debian_mirror_gives_its_own_package(clone: Path, tmp_path: Path) -> None:
    """As on Ubuntu: apt knows other mirrors, and its own package holds both programs."""
    programs = tmp_path / "bin"
    programs.mkdir()
    fake = programs / "apt-get"
    real = shutil.which("apt-get")
    fake.write_text(
        f'#!/bin/sh\n[ "$1" = indextargets ] && echo main Ubuntu http://127.0.0.1:1/ && exit\nexec {real} "$@"\n'
    )
    fake.chmod(0o755)
    environment = {"PATH": f"{programs}:{os.environ['PATH']}"}
    run = subprocess.run([clone], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert [line.split(", version ")[0] for line in run.stdout.splitlines()] == [
        "prometheus",
        "promtool",
        "alertmanager",
        "amtool",
        "node_exporter",
    ]
