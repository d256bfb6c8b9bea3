"""A card's launcher and its engines as processes, asked as the gateway asks them, and the memory of the card."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from fullbatch.core import http
from fullbatch.core.errors import EngineError, HostError
from fullbatch.planning.engine_plan import EnginePlan
from fullbatch.planning.plan import Plan
from fullbatch.runtime import launcher_file
from fullbatch.runtime.base import Ports
from fullbatch.runtime.process import engine_process, launching, sockets, state
from fullbatch.runtime.process.deployment import ProcessDeployment
from scripts.gpubench.sides import refuse_taken

POLL_S = 0.02
_ASK_S = 120.0
_START_S = 30.0
# The launcher ends engines that keep more than this asleep. Here they are measured, so it may be much.
_ASLEEP_MIB = 16 * 1024
_USED = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "-i", "0"]


class OutOfTime(Exception):
    """The time that there was is over; what was measured is kept."""


@dataclass(frozen=True)
class Clock:
    """Says how long it may still go on. ``deadline``: of time.monotonic()."""

    deadline: float

    @classmethod
    def in_seconds(cls, seconds: float) -> Clock:
        """One that ends so long from now."""
        return cls(time.monotonic() + seconds)

    def left(self) -> float:
        """Seconds; OutOfTime where none are."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise OutOfTime
        return left

    def until(self, so: Callable[[], bool]) -> None:
        """Wait for it."""
        while not so():
            self.left()
            time.sleep(POLL_S)

    def patiently(self, so: Callable[[], bool]) -> None:
        """Wait for it as long as there is time, and go on then."""
        with suppress(OutOfTime):
            self.until(so)


def used_mib() -> float | None:
    """What is in use of the first card; None where the driver does not say."""
    with suppress(OSError, subprocess.SubprocessError, ValueError):
        return float(subprocess.run(_USED, capture_output=True, text=True, timeout=20, check=True).stdout.split()[0])
    return None


class LaunchedCard:
    """The engines of a plan that take turns, and their launcher; no gateway."""

    def __init__(self, root: Path, plan: Plan, first_port: int) -> None:
        ((card, engines),) = plan.turning.items()
        refuse_taken(*range(first_port, first_port + len(engines)))
        self.engines = {launcher_file.name(engine): engine for engine in engines}
        made = ProcessDeployment(root, plan, Ports(engine=first_port))
        self.urls = dict(zip(self.engines, made.engine_urls(), strict=True))
        made.directory.mkdir(parents=True, exist_ok=True)
        self._folder = sockets.make(made.directory)
        self._socket = str(self._folder / "l.sock")
        self._log = made.directory / "launcher.log"
        program = engine_process.program(root, engines[0])
        launched = [
            launcher_file.Launched(
                engine,
                made.engine_command(program, number),
                launching.listen(made.engine_urls()[number]),
                engine_process.variables(root, engine, str(self._folder), offline=True),
            )
            for number, engine in enumerate(engines)
        ]
        more = {"folder": str(made.directory / "launcher"), "memory": {"command": _USED, "asleep_mib": _ASLEEP_MIB}}
        file = made.directory / "launcher.json"
        file.write_text(launcher_file.text(card, self._socket, launched, plan.drain_seconds, more), encoding="utf-8")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "launcher", str(file)], cwd=root, env=engine_process.ours(),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self._until_it_answers()

    def _until_it_answers(self) -> None:
        ends = time.monotonic() + _START_S
        while self._process.poll() is None and time.monotonic() < ends:
            with suppress(OSError):
                if self.ask("GET", "/state")[0] == 200:
                    return
            time.sleep(POLL_S)
        self.stop()
        raise EngineError("the launcher does not answer", *self.log().splitlines()[-5:])

    def ask(self, method: str, path: str) -> tuple[int, dict[str, Any]]:
        """Status and what it says."""
        connection = HTTPConnection("launcher", timeout=_ASK_S)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.sock.connect(self._socket)
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def of(self, name: str) -> dict[str, Any]:
        """What it says of one model."""
        found: dict[str, Any] = self.ask("GET", "/state")[1]["models"][name]
        return found

    def do(self, name: str, action: str, until: str, clock: Clock, meanwhile: Callable[[], None]) -> dict[str, Any]:
        """Have it done, and wait; the model's state then. ``meanwhile``: called once it has begun.

        Raises:
            HostError: the launcher has refused.
            OutOfTime
        """
        status, said = self.ask("POST", f"/models/{name}/{action}")
        if status != 202:
            raise HostError(f"the launcher will not {action} '{name}': {said.get('why')}")
        meanwhile()
        found: list[dict[str, Any]] = []

        def there() -> bool:
            found.append(self.of(name))
            state = found[-1]["state"]
            return state in (until, "failed") or (state == "ready" and bool(found[-1]["why"]))  # it would not sleep

        clock.until(there)
        return found[-1]

    def log(self) -> str:
        """All that it has said, its engines' words among it."""
        with suppress(OSError):
            return self._log.read_text(encoding="utf-8", errors="replace")
        return ""

    def stop(self) -> None:
        """It and its engines."""
        _end(self._process, 120.0)
        sockets.remove(str(self._folder))


class LoneEngine:
    """One engine of a plan, started by nobody but us."""

    def __init__(self, root: Path, engine: EnginePlan, port: int, log: Path) -> None:
        refuse_taken(port)
        self.engine, self.url, self.log = engine, f"http://127.0.0.1:{port}", log
        models = str(state.models(root))
        words = [engine_process.program(root, engine), "serve", *engine.command(models, "127.0.0.1", port)]
        self._folder = Path(tempfile.mkdtemp(prefix="fullbatch-"))
        variables = engine_process.variables(root, engine, str(self._folder), offline=True)
        self._began = time.monotonic()
        self.seconds: float | None = None
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                words, cwd=root, env=engine_process.ours() | variables, stdin=subprocess.DEVNULL, stdout=file,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._process.pid

    def settled(self) -> bool:
        """Whether it answers or has ended."""
        if self.seconds is None and http.get(f"{self.url}/health").status == 200:
            self.seconds = round(time.monotonic() - self._began, 2)
        return self.seconds is not None or self._process.poll() is not None

    def words(self) -> list[str]:
        """Its log."""
        return self.log.read_text(encoding="utf-8", errors="replace").splitlines()

    def stop(self) -> None:
        _end(self._process, 40.0)
        sockets.remove(str(self._folder))


def _end(process: subprocess.Popen[bytes], patience_s: float) -> None:
    """Politely, and after that all of its session."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def post(url: str, body: Mapping[str, Any], timeout: float) -> dict[str, Any]:
    """An engine's answer; EngineError where it is none."""
    answer = http.post(url, dict(body), "", timeout)
    if answer.status != 200:
        raise EngineError(f"{url} answers {answer.status}: {answer.text[:300]}")
    return answer.json()
