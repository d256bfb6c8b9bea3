"""KV cache on disk beside engines that run as processes."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fullbatch.core import host
from fullbatch.core.errors import HostError
from fullbatch.planning import profile
from fullbatch.planning.plan import Plan, make
from fullbatch.runtime.base import Ports
from fullbatch.runtime.process import kv_disk, state
from fullbatch.runtime.process.deployment import ProcessDeployment

DISK = {"ram_gib": 1, "disk": {"quota_gib": 3}}


def _plan(wanted: Any = DISK) -> Plan:
    data = {"description": "d", "model": "Qwen/Qwen3-8B", "hardware": {"gpu": "rtx4090"}, "users": 2}
    return make("x", profile.parse(data | {"kv_offload": wanted}, "x"))


def test_what_runs_beside_the_engines(tmp_path: Path) -> None:
    folder = state.kv_folder(tmp_path, "x")
    words = kv_disk.keeper(tmp_path, _plan())
    assert words == [sys.executable, "-m", "fullbatch.runtime.kv_prune", str(folder), "--quota-gib", "3"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert subprocess.run([*words[:3], "--help"], capture_output=True, timeout=60, check=False).returncode == 0


def test_without_disk_nothing_runs_and_nothing_is_made(tmp_path: Path) -> None:
    assert kv_disk.keeper(tmp_path, _plan({"ram_gib": 1})) is None
    assert kv_disk.shortages(tmp_path, _plan({"ram_gib": 1})) == []
    assert not state.kv_folder(tmp_path, "x").exists()


def test_a_folder_that_others_could_read_is_closed(tmp_path: Path) -> None:
    folder = state.kv_folder(tmp_path, "x")
    folder.mkdir(parents=True, mode=0o755)
    kv_disk.keeper(tmp_path, _plan())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    folder = state.kv_folder(tmp_path, "x")
    folder.parent.mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HostError, match="it must be a folder of yours, and no link"):
        kv_disk.keeper(tmp_path, _plan())


def test_a_quota_for_which_the_disk_has_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "free_disk_gib", lambda _path: 2.0)
    (line,) = kv_disk.shortages(tmp_path, _plan())
    assert line.startswith("profiles/x.yaml: kv_offload.disk.quota_gib: 3 GiB, 2 GiB are free at ")
    assert line.endswith("beside 0 GiB of blocks; write at most 2")
    folder = state.kv_folder(tmp_path, "x")
    folder.mkdir(parents=True)
    with (folder / "block").open("wb") as file:
        file.truncate(2**30)  # what lies there already takes its part of the quota
    assert kv_disk.shortages(tmp_path, _plan()) == []


def test_the_engine_gets_that_folder(tmp_path: Path) -> None:
    words = ProcessDeployment(tmp_path, _plan(), Ports(gateway=9, engine=1234)).engine_command("vllm", 0)
    assert f'"root_dir":"{state.kv_folder(tmp_path, "x")}"' in words[words.index("--kv-transfer-config") + 1]
