"""`systemctl`, as a program of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fullbatch.core.errors import HostError
from fullbatch.service import systemd
from fullbatch.service.systemd import Systemd

Programs = Callable[[str, str], None]


def test_where_there_is_none(programs: Programs, tmp_path: Path) -> None:
    manager = Systemd(False, tmp_path)
    assert "no systemd runs here (a container?)" in str(manager.problem()), "no such program"
    programs("systemctl", "echo offline; exit 1")
    assert "--dry-run` prints the unit" in str(manager.problem())
    assert "no systemd of yours runs here" in str(Systemd(True, tmp_path).problem())


def test_where_there_is_one(programs: Programs, tmp_path: Path) -> None:
    programs(
        "systemctl",
        'case "$*" in *running) echo degraded; exit 1 ;; *bad) echo a >&2; echo b >&2; exit 1 ;; esac; echo "$*"',
    )
    manager = Systemd(True, tmp_path)
    assert manager.problem() is None, "something else of the machine has failed"
    assert manager.say("is-enabled", "x") == "--user is-enabled x"
    manager.call("daemon-reload")
    with pytest.raises(HostError, match="^systemctl enable: b$"):
        manager.call("enable", "bad")


def test_where_units_are() -> None:
    assert systemd.of(False).folder == Path("/etc/systemd/system")
    assert systemd.of(True).folder == Path.home() / ".config/systemd/user"
