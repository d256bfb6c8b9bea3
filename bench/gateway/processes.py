"""A gateway's processes: started on their core, measured with their children, ended by their id."""

from __future__ import annotations

import http.client
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.gateway.programs import BenchError, cores, on_core
from bench.gateway.request import request_bytes

GATEWAY_CORE = 0
START_S = 90.0
CALM_S, CALM_SHARE, CALM_WAIT_S = 0.25, 0.1, 8.0


@dataclass(frozen=True, slots=True)
class LoadedServer:
    """Something to load: its port, and the process whose CPU and memory count (none for direct)."""

    name: str
    port: int
    process: psutil.Process | None = None

    def tree(self) -> list[psutil.Process]:
        """The process and all below it."""
        if self.process is None:
            return []
        with suppress(psutil.NoSuchProcess):
            return [self.process, *self.process.children(recursive=True)]
        return []

    def involved(self) -> list[psutil.Process]:
        """Whose work is no noise while this is measured."""
        return self.tree()

    def cpu_s(self) -> float:
        """User and system time so far, with the children's."""
        return sum(cpu_s(process) for process in self.tree())

    def rss_mb(self) -> float:
        return sum(_status_kb(process.pid, "VmRSS") for process in self.tree()) / 1024

    def peak_mb(self) -> float:
        """The most that each process ever had, added up."""
        return sum(_status_kb(process.pid, "VmHWM") for process in self.tree()) / 1024

    def calm_down(self) -> None:
        """Wait until it has done what the load before it left."""
        ends = time.monotonic() + CALM_WAIT_S
        while time.monotonic() < ends:
            before = self.cpu_s()
            time.sleep(CALM_S)
            if self.cpu_s() - before <= CALM_SHARE * CALM_S:
                return


class Foreign:
    """The share of the machine that others take while a cell is measured: everything but the involved processes.

    Gateways that only wait for their turn are others too.
    """

    def __init__(self, involved: list[psutil.Process]) -> None:
        self._involved = involved
        self._began = time.monotonic()
        self._before = self._others_s()

    def share(self) -> float:
        """Of all cores, since this object was made."""
        took = (time.monotonic() - self._began) * cores()
        return max(0.0, (self._others_s() - self._before) / took)

    def _others_s(self) -> float:
        times = psutil.cpu_times()
        busy = sum(times) - times.idle - times.iowait - times.guest - times.guest_nice
        own = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        ours = sum(each.ru_utime + each.ru_stime for each in own) + sum(cpu_s(one) for one in self._involved)
        return float(busy) - ours


def cpu_s(process: psutil.Process) -> float:
    """User and system time; 0 for one that has ended."""
    with suppress(psutil.NoSuchProcess):
        return sum(process.cpu_times()[:2])
    return 0.0


@contextmanager
def started(name: str, command: list[str], port: int, log: Path) -> Iterator[tuple[LoadedServer, float]]:
    """A gateway on its core that has answered a first request, and the seconds that took.

    Raises:
        BenchError: it ended, or did not answer in time; the message has its log's last line.
    """
    began = time.monotonic()
    with log.open("wb") as err:
        process = subprocess.Popen(on_core(GATEWAY_CORE, command), stdout=subprocess.DEVNULL, stderr=err)
    try:
        while not serves(port):
            if process.poll() is not None or time.monotonic() - began > START_S:
                raise BenchError(f"{name} did not come up: {_last_line(log)}")
            time.sleep(0.005)
        yield LoadedServer(name, port, psutil.Process(process.pid)), time.monotonic() - began
    finally:
        _end(process)


@contextmanager
def running(module: list[str], port: int, core: int | None) -> Iterator[None]:
    """One of our own programs on a core (None: on any), as soon as it listens."""
    command = [sys.executable, "-m", *module]
    command = command if core is None else on_core(core, command)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    began = time.monotonic()
    try:
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if process.poll() is not None or time.monotonic() - began > START_S:
                raise BenchError(f"{module[0]} did not come up")
            time.sleep(0.05)
        yield
    finally:
        _end(process)


def serves(port: int) -> bool:
    """Whether a completion comes back."""
    head, _, body = request_bytes(1, stream=False).partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", "/v1/chat/completions", body, headers)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _end(process: subprocess.Popen[bytes]) -> None:
    children = []
    with suppress(psutil.NoSuchProcess):
        children = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in children:
        with suppress(psutil.NoSuchProcess):
            child.kill()


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def _status_kb(pid: int, name: str) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
    return 0
