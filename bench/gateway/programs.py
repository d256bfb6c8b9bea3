"""The mock upstream and the load, two small C programs: compiled when the bench starts, never kept.

BenchError   the bench cannot run here; one line
"""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.gateway.request import request_bytes

MOCK_CORE = 1
LOAD_ENDS_S = 15.0


class BenchError(Exception):
    """The message is one line: what is missing, and what would be right."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What one load brought back; times in milliseconds. ``first``: for answers that are not streams, the whole."""

    good: int
    failed: int
    events: int
    seconds: float
    first_p50: float
    first_p99: float
    gap_p99: float


class Programs:
    """Both, compiled into ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in ("mock", "load"):
            self._compile(name)

    def _compile(self, name: str) -> None:
        source = Path(__file__).with_name(f"{name}.c")
        compiler = shutil.which("cc")
        if compiler is None:
            raise BenchError("no C compiler 'cc' for the mock upstream (Debian: apt-get install gcc libc6-dev)")
        command = [compiler, "-O2", "-Wall", "-Wextra", "-o", str(self._folder / name), str(source)]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            raise BenchError(f"{source.name} does not compile: {made.stderr.strip().splitlines()[0]}")

    @contextmanager
    def mock(self) -> Iterator[Mock]:
        """The running mock upstream, on its core."""
        command = on_core(MOCK_CORE, [str(self._folder / "mock")])
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                yield Mock(int(process.stdout.readline()), psutil.Process(process.pid))
            finally:
                process.terminate()

    def whole(self, port: int, tokens: int, connections: int, seconds: float) -> Counts | None:
        """One answer after another on each connection; None if the gateway takes no connection any more."""
        path = self._request(tokens, stream=False)
        return self._load([str(port), path, "whole", str(connections), str(seconds)], seconds)

    def streams(self, port: int, tokens: int, shape: Streams) -> Counts | None:
        """Streams that begin spread over the ramp; None if the gateway takes no connection any more."""
        path = self._request(tokens, stream=True)
        numbers = [shape.streams, shape.turns, tokens, int(shape.ramp_s * 1000), int(shape.limit_s * 1000)]
        return self._load([str(port), path, "stream", *map(str, numbers)], shape.limit_s)

    def _request(self, tokens: int, stream: bool) -> str:
        path = self._folder / f"{'stream' if stream else 'whole'}-{tokens}.http"
        path.write_bytes(request_bytes(tokens, stream))
        return str(path)

    def _load(self, arguments: list[str], seconds: float) -> Counts | None:
        command = on_core(MOCK_CORE, [str(self._folder / "load"), *arguments])
        try:
            ran = subprocess.run(command, capture_output=True, check=False, timeout=seconds + LOAD_ENDS_S)
        except subprocess.TimeoutExpired:
            return None
        if ran.returncode:
            return None
        found = json.loads(ran.stdout)
        first, gap = found["first"], found["gap"]
        times = (first["p50"] / 1000, first["p99"] / 1000, gap["p99"] / 1000)
        return Counts(found["good"], found["failed"], found["events"], found["seconds"], *times)


@dataclass(frozen=True, slots=True)
class Streams:
    """How many at once, how often each, over how many seconds they begin, and when they must have ended."""

    streams: int
    turns: int
    ramp_s: float
    limit_s: float


@dataclass(frozen=True, slots=True)
class Mock:
    """The running mock."""

    port: int
    process: psutil.Process

    def pace(self, itl_ms: float, step: bool = False) -> None:
        """Set the time between tokens; with ``step`` the tokens of all streams go out together, as a batch's do."""
        self._get(f"/mock/pace?itl_us={int(itl_ms * 1000)}&step={int(step)}")

    def sent(self) -> tuple[int, int]:
        """Requests and events answered so far."""
        found = json.loads(self._get("/mock/counts"))
        return found["requests"], found["events"]

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return bytes(answer.read())


def cores() -> int:
    return psutil.cpu_count() or 1


def on_core(core: int, command: list[str]) -> list[str]:
    """The command bound to a core; where the machine has not so many, to none."""
    if core >= cores() or shutil.which("taskset") is None:
        return command
    return ["taskset", "-c", str(core), *command]
