from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from fullbatch.core import host

LISTENER = "import socket, sys; s = socket.create_server(('{}', {})); print('up', flush=True); sys.stdin.read()"


def _docker(version: str, engine: str = "echo 28.5.1") -> str:
    return f'case "$1" in compose) {version};; info) {engine};; *) exit 64;; esac'


def test_a_free_port(free_port: Callable[[], int]) -> None:
    assert host.port_holder("127.0.0.1", free_port()) is None


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_taken_port_names_the_process(free_port: Callable[[], int], address: str) -> None:
    port = free_port()
    command = [sys.executable, "-c", LISTENER.format(address, port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        said = host.port_holder("127.0.0.1", port)
        holder.communicate(b"")
    assert said is not None
    assert said.startswith(f"process {holder.pid} ({sys.executable} -c ")


def test_a_port_just_closed_is_free(free_port: Callable[[], int]) -> None:
    """A connection in TIME_WAIT does not hinder a listener, so it must not be reported."""
    port = free_port()
    with socket.create_server(("127.0.0.1", port)) as server, socket.create_connection(("127.0.0.1", port)):
        server.accept()[0].close()
    assert host.port_holder("127.0.0.1", port) is None


def test_where_processes_may_not_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(kind: str) -> None:
        raise psutil.AccessDenied(msg=kind)

    monkeypatch.setattr(psutil, "net_connections", denied)
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert host.port_holder("127.0.0.1", server.getsockname()[1]) == "another process (run as root to see which)"


def test_docker_is_absent(programs: Callable[[str, str], None]) -> None:
    programs("something-else", "exit 0")
    found = host.docker()
    assert found.problem is not None
    assert found.problem.startswith("Docker is not installed; ")
    assert "--runtime process" in found.problem


def test_docker_without_compose(programs: Callable[[str, str], None]) -> None:
    programs("docker", "echo \"docker: 'compose' is not a docker command.\" >&2; exit 1")
    assert str(host.docker().problem).startswith("Docker has no Compose plugin; install docker-compose-plugin")


@pytest.mark.parametrize("version", ["2.32.1", "v2.17.3", "1.29.2", "2.9.99"])
def test_compose_is_too_old(programs: Callable[[str, str], None], version: str) -> None:
    programs("docker", _docker(f"echo {version}"))
    found = host.docker()
    assert found.problem == (
        f"Docker Compose is {version.lstrip('v')}, at least 2.32.2 is needed; update the Compose plugin"
    )


@pytest.mark.parametrize("version", ["2.32.2", "v2.40.0", "2.32.4-desktop.1", "5.6.1", "2.100.0"])
def test_docker_is_fine(programs: Callable[[str, str], None], version: str) -> None:
    programs("docker", _docker(f"echo {version}"))
    assert host.docker() == host.Docker(None, version.lstrip("v"))


def test_the_engine_is_down(programs: Callable[[str, str], None]) -> None:
    why = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
    programs("docker", _docker("echo 5.6.1", f"echo '{why}' >&2; exit 1"))
    assert host.docker().problem == f"Docker Engine does not answer ({why}); start it, or use --runtime process"


def test_the_engine_is_down_without_a_word(programs: Callable[[str, str], None]) -> None:
    programs("docker", _docker("echo 5.6.1", "exit 1"))
    assert "(no answer)" in str(host.docker().problem)


def test_a_docker_that_hangs_is_not_waited_for(
    programs: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "_TIMEOUT", 0.2)
    programs("docker", "exec /bin/sleep 30")
    assert host.docker().problem is not None


def test_cards(programs: Callable[[str, str], None]) -> None:
    assert host.gpus() == []
    programs("nvidia-smi", "echo 'NVIDIA GeForce RTX 4090, 24564 MiB'; echo")
    assert host.gpus() == ["NVIDIA GeForce RTX 4090, 24564 MiB"]
    programs("nvidia-smi", "echo 'NVIDIA-SMI has failed'; exit 9")
    assert host.gpus() == []


def test_disk_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    assert host.free_disk_gib(tmp_path / "a" / "b") == pytest.approx(host.free_disk_gib(tmp_path), rel=0.1)
    assert host.free_disk_gib(tmp_path) > 0


def test_this_machine() -> None:
    machine = host.machine()
    assert machine.cores == len(os.sched_getaffinity(0))
    assert 0 < host.available_memory_gib() <= machine.memory_gib
    assert machine.cpu
    assert "Linux" in machine.system


def test_the_engine_is_too_old(programs: Callable[[str, str], None]) -> None:
    programs("docker", _docker("echo 5.6.1", "echo 20.10.24"))
    assert host.docker().problem == "Docker Engine is 20.10.24, at least 25 is needed; update it"
