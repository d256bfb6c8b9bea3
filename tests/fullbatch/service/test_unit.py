"""The unit's text: what it says, how it is quoted, and that systemd itself takes it."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fullbatch.service.unit import ServiceUnit, quoted
from scripts.offline import debian

UNIT = ServiceUnit(Path("/srv/fullbatch"), "cpu-tiny", "/srv/fullbatch/.venv/bin/python", user=False, account="llm")
ODD = dataclasses.replace(UNIT, root=Path('/srv/a b "c" 100% $HOME'), python='/srv/a b "c" 100% $HOME/python')


def _said(unit: ServiceUnit) -> dict[str, str]:
    lines = [line for line in unit.text().splitlines() if line and line[0] not in "#["]
    return dict(line.split("=", 1) for line in lines)


def test_what_it_says() -> None:
    said = _said(UNIT)
    assert said["ExecStart"] == (
        "/srv/fullbatch/.venv/bin/python -m fullbatch up cpu-tiny --runtime process --foreground"
    )
    assert said["Restart"] == "on-failure" and said["KillMode"] == "mixed" and said["User"] == "llm"
    assert int(said["TimeoutStopSec"]) > UNIT.drain_seconds
    assert said["WantedBy"] == "multi-user.target" and said["EnvironmentFile"] == "-/srv/fullbatch/.env"
    mine = _said(dataclasses.replace(UNIT, user=True, programs="/opt/vllm/bin"))
    assert mine["WantedBy"] == "default.target" and "User" not in mine and "After" not in mine
    assert mine["Environment"].startswith("PATH=/opt/vllm/bin:/usr/local/sbin:")


def test_two_clones_have_two_names() -> None:
    assert UNIT.name.startswith("fullbatch-cpu-tiny-") and UNIT.name.endswith(".service")
    assert dataclasses.replace(UNIT, root=Path("/srv/other")).name != UNIT.name


def test_words_are_quoted_as_systemd_reads_them() -> None:
    assert quoted("plain-1.0/x") == "plain-1.0/x"
    assert quoted('a "b" \\ 5%') == '"a \\"b\\" \\\\ 5%%"'
    assert quoted("$HOME", command=True) == '"$$HOME"' and quoted("$HOME") == '"$HOME"'


@pytest.fixture(scope="module")
def analyze() -> Callable[[Path, bool], str]:
    """`systemd-analyze verify`, of this machine or of an unpacked package; what it complains of."""
    found, library = shutil.which("systemd-analyze"), ""
    if found is None:
        folder = Path(__file__).resolve().parents[3] / ".fullbatch/systemd"
        if not (folder / "usr/bin/systemd-analyze").exists():
            debian.unpack(["systemd", "libsystemd-shared"], None, folder)
        found, library = (
            str(folder / "usr/bin/systemd-analyze"),
            str(next(folder.rglob("libsystemd-shared-*.so")).parent),
        )

    def verify(path: Path, user: bool) -> str:
        environment = os.environ | {"LD_LIBRARY_PATH": library, "XDG_RUNTIME_DIR": str(path.parent)}
        command = [found, *(["--user"] if user else []), "verify", str(path)]
        answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return answer.stdout + answer.stderr + (f"exit {answer.returncode}" if answer.returncode else "")

    return verify


@pytest.mark.parametrize("user", [False, True], ids=["system", "user"])
@pytest.mark.parametrize("odd", [False, True], ids=["plain", "odd"])
def test_systemd_takes_it(analyze: Callable[[Path, bool], str], tmp_path: Path, user: bool, odd: bool) -> None:
    """With a program that is there, since it looks; a wrong key is seen, so the check itself works."""
    root = tmp_path / ('a b "c" 100% $HOME' if odd else "plain")
    root.mkdir()
    python = root / "python"
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    unit = dataclasses.replace(UNIT, root=root, python=str(python), user=user, account="root")
    path = tmp_path / unit.name
    path.write_text(unit.text())
    assert analyze(path, user) == ""
    path.write_text(unit.text().replace("KillMode=", "KilMode="))
    assert "KilMode" in analyze(path, user)
