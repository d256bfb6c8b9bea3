"""Checks Docker, Compose, the NVIDIA container toolkit and the disk, from `docker info`."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fullbatch.core import host
from fullbatch.core.check_result import CheckResult, fail, ok
from fullbatch.planning.plan import Plan
from fullbatch.runtime import requirements

TOOLKIT = (
    "install nvidia-container-toolkit, then: sudo nvidia-ctk runtime configure --runtime=docker && "
    "sudo systemctl restart docker"
)
_TIMEOUT = 20.0


@dataclass(frozen=True)
class Info:
    """What `docker info` says: version, runtimes, whether it knows NVIDIA's CDI devices, where it keeps data."""

    version: str
    runtimes: tuple[str, ...]
    cdi_nvidia: bool
    data: Path | None


def parse(text: str) -> Info | None:
    """The JSON of `docker info`; None when it is none."""
    try:
        said: dict[str, Any] = json.loads(text)
        devices = said.get("DiscoveredDevices") or []
        return Info(
            version=str(said.get("ServerVersion") or ""),
            runtimes=tuple(sorted(said.get("Runtimes") or {})),
            cdi_nvidia=any("nvidia.com/gpu" in str(device.get("ID", "")) for device in devices),
            data=Path(said["DockerRootDir"]) if said.get("DockerRootDir") else None,
        )
    except (ValueError, AttributeError, TypeError):
        return None


def judge(docker: host.Docker, info: Info | None, plan: Plan | None) -> list[CheckResult]:
    """Whether Compose can start `plan`."""
    if docker.problem:
        finding, _, fix = docker.problem.partition("; ")
        return [fail("docker", finding, fix or "see docs/operating.md")]
    if info is None:
        return [fail("docker", "`docker info` gives no answer that can be read", "restart Docker")]
    verdicts = [ok("docker", f"Docker Engine {info.version}, Compose {docker.compose}")]
    if plan is None:
        return verdicts
    if plan.engines[0].gpus:
        verdicts.append(_toolkit(info))
    return [*verdicts, *_disk(info, plan)]


def _toolkit(info: Info) -> CheckResult:
    if "nvidia" in info.runtimes:
        return ok("toolkit", "Docker has the runtime nvidia")
    if info.cdi_nvidia:
        return ok("toolkit", "Docker knows the cards as CDI devices")
    runtimes = ", ".join(info.runtimes) or "none"
    return fail("toolkit", f"Docker cannot hand cards to containers (its runtimes: {runtimes})", TOOLKIT)


def _disk(info: Info, plan: Plan) -> list[CheckResult]:
    fetched = [part.engines[0] for part in plan.models if part.engines[0].model != "tiny"]
    # With a Docker Engine elsewhere its disk is elsewhere too.
    if info.data is None or not info.data.exists() or not fetched:
        return []
    need = sum(map(requirements.checkpoint_gib, fetched)) + requirements.DISK_ROOM_GIB
    free = host.free_disk_gib(info.data)
    said = f"{free:.1f} GiB free at {info.data}, the weights need {need:.1f} beside the images"
    if free >= need:
        return [ok("disk", said)]
    return [fail("disk", said, 'docker system prune, or a larger disk ("data-root" in /etc/docker/daemon.json)')]


def read() -> Info | None:
    """What `docker info` says here; None when it does not answer."""
    try:
        answer = subprocess.run(
            ["docker", "info", "--format", "{{json .}}"],
            capture_output=True, text=True, timeout=_TIMEOUT, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse(answer.stdout) if answer.returncode == os.EX_OK else None
