"""Facts of this machine: cards, memory, disk, free ports, Docker. Decisions are made elsewhere."""

from __future__ import annotations

import os
import platform
import re
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil

# include with project_directory, gpus:, configs and start_interval; see docs/decisions/0005-compose.md.
MINIMUM_COMPOSE = (2, 32, 2)
# healthcheck.start_interval.
MINIMUM_ENGINE = 25
_TIMEOUT = 20.0


@dataclass(frozen=True)
class MachineReport:
    """What a report says about where it was made. Memory in GiB."""

    cpu: str
    cores: int
    memory_gib: float
    system: str
    gpus: tuple[str, ...]

    def in_words(self) -> str:
        """On one line."""
        cards = f", {', '.join(self.gpus)}" if self.gpus else ", no GPU"
        return f"{self.cpu}, {self.cores} cores, {self.memory_gib:g} GiB{cards}; {self.system}"


@dataclass(frozen=True)
class Docker:
    """`problem` says in one line why Docker cannot be used; None when it can."""

    problem: str | None
    compose: str | None = None


def machine() -> MachineReport:
    """This machine, in words for a report."""
    return MachineReport(
        cpu=_cpu_name(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        system=f"{_os_name()}, Linux {platform.release()}",
        gpus=tuple(gpus()),
    )


def _cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.system()


def gpus() -> list[str]:
    """Names of the NVIDIA cards the driver reports; empty without a driver."""
    if shutil.which("nvidia-smi") is None:
        return []
    answer = _run(["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"])
    if answer is None or answer.returncode != 0:
        return []
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]


def port_holder(host: str, port: int) -> str | None:
    """Who listens on `host:port`, in words; None when the port is free."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return _listener(port)
    return None


def _listener(port: int) -> str:
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        connections = []
    for connection in connections:
        if connection.status != psutil.CONN_LISTEN or not connection.laddr or not connection.pid:
            continue
        if connection.laddr.port == port:
            try:
                process = psutil.Process(connection.pid)
                return f"process {connection.pid} ({' '.join(process.cmdline()[:3]) or process.name()})"
            except psutil.Error:
                return f"process {connection.pid}"
    return "another process (run as root to see which)"


def free_disk_gib(path: Path) -> float:
    """Free space on the file system of `path`, or of its nearest parent that exists, GiB."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free / 2**30


def available_memory_gib() -> float:
    """Memory that can be taken without swapping, GiB."""
    return float(psutil.virtual_memory().available) / 2**30


def docker() -> Docker:
    """Whether `docker compose` can be used here, and its version."""
    if shutil.which("docker") is None:
        return Docker(
            "Docker is not installed; install Docker Engine with the Compose plugin, or use --runtime process"
        )
    version = _run(["docker", "compose", "version", "--short"])
    if version is None or version.returncode != 0:
        return Docker("Docker has no Compose plugin; install docker-compose-plugin, or use --runtime process")
    found = version.stdout.strip().lstrip("v")
    numbers = tuple(int(part) for part in re.findall(r"\d+", found)[:3])
    if numbers < MINIMUM_COMPOSE:
        wanted = ".".join(str(part) for part in MINIMUM_COMPOSE)
        return Docker(f"Docker Compose is {found}, at least {wanted} is needed; update the Compose plugin", found)
    info = _run(["docker", "info", "--format", "{{.ServerVersion}}"])
    if info is None or info.returncode != 0:
        last = (info.stderr.strip().splitlines() or ["no answer"])[-1] if info else "no answer"
        return Docker(f"Docker Engine does not answer ({last}); start it, or use --runtime process", found)
    engine = info.stdout.strip()
    if int((re.match(r"\d+", engine) or ["0"])[0]) < MINIMUM_ENGINE:
        return Docker(f"Docker Engine is {engine}, at least {MINIMUM_ENGINE} is needed; update it", found)
    return Docker(None, found)


def _run(command: list[str]) -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
