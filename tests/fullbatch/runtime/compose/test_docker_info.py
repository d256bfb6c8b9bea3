"""`docker info`, in constructed answers with the fields Docker 28 gives."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fullbatch.core import host
from fullbatch.core.host import Docker
from fullbatch.planning.plan import Plan
from fullbatch.runtime.compose import docker_info

PlanOf = Callable[[str], Plan]
GPU = "rtx4090-qwen2.5-7b"
FINE = Docker(None, "2.40.0")


def _info(**more: Any) -> str:
    runc = {"path": "runc"}
    runtimes = {"io.containerd.runc.v2": runc, "runc": runc}
    return json.dumps({"ServerVersion": "28.5.1", "Runtimes": runtimes, "DockerRootDir": "/nowhere/docker"} | more)


PLAIN = docker_info.parse(_info())


def test_what_is_read() -> None:
    assert PLAIN == docker_info.Info("28.5.1", ("io.containerd.runc.v2", "runc"), False, Path("/nowhere/docker"))


@pytest.mark.parametrize("text", ["", "no json", "[]", "null", '{"DiscoveredDevices": [1]}'])
def test_what_is_no_answer(text: str) -> None:
    assert docker_info.parse(text) is None


def test_docker_and_compose_without_a_profile() -> None:
    (found,) = docker_info.judge(FINE, PLAIN, None)
    assert (found.severity, found.finding) == ("ok", "Docker Engine 28.5.1, Compose 2.40.0")


def test_what_is_wrong_with_docker_is_passed_on() -> None:
    (found,) = docker_info.judge(Docker("Docker Compose is 2.17.3, at least 2.32.2 is needed; update it"), None, None)
    assert (found.severity, found.fix) == ("fail", "update it")
    assert found.finding == "Docker Compose is 2.17.3, at least 2.32.2 is needed"


def test_docker_that_stopped_answering() -> None:
    (found,) = docker_info.judge(FINE, None, None)
    assert found.severity == "fail"


def test_cards_need_the_toolkit(plan_of: PlanOf) -> None:
    _, toolkit = docker_info.judge(FINE, PLAIN, plan_of(GPU))
    assert toolkit.severity == "fail"
    assert "its runtimes: io.containerd.runc.v2, runc" in toolkit.finding
    assert "nvidia-ctk runtime configure --runtime=docker" in toolkit.fix


@pytest.mark.parametrize(
    "more",
    [
        {"Runtimes": {"runc": {}, "nvidia": {"path": "nvidia-container-runtime"}}},
        {"DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=0"}]},
    ],
)
def test_the_toolkit_of_either_kind(more: dict[str, Any], plan_of: PlanOf) -> None:
    _, toolkit = docker_info.judge(FINE, docker_info.parse(_info(**more)), plan_of(GPU))
    assert toolkit.severity == "ok"


def test_a_cpu_profile_needs_no_toolkit(plan_of: PlanOf) -> None:
    assert [one.check for one in docker_info.judge(FINE, PLAIN, plan_of("cpu-tiny"))] == ["docker"]


def test_dockers_disk(plan_of: PlanOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert PLAIN is not None
    here = dataclasses.replace(PLAIN, data=tmp_path)
    monkeypatch.setattr(host, "free_disk_gib", lambda _path: 1.5)
    _, disk = docker_info.judge(FINE, here, plan_of("cpu"))
    assert (disk.severity, "docker system prune" in disk.fix) == ("fail", True)
    monkeypatch.setattr(host, "free_disk_gib", lambda _path: 100.0)
    _, disk = docker_info.judge(FINE, here, plan_of("cpu"))
    assert disk.severity == "ok"


def test_asking_docker(programs: Callable[[str, str], None], tmp_path: Path) -> None:
    assert docker_info.read() is None
    (tmp_path / "info.json").write_text(_info(), encoding="utf-8")
    programs("docker", f"/bin/cat {tmp_path}/info.json")
    assert docker_info.read() == PLAIN
    programs("docker", f"/bin/cat {tmp_path}/info.json; exit 1")
    assert docker_info.read() is None
