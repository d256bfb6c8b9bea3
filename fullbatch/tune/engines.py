"""The bench of this machine: boots an arm as processes, and measures it with the load test, through the gateway."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from fullbatch.core.errors import EngineError, HostError, UsageError
from fullbatch.lifecycle import deployment
from fullbatch.measure import launcher
from fullbatch.planning.plan import Plan
from fullbatch.runtime import registry
from fullbatch.runtime.base import MeasuredDeployment, Say
from fullbatch.simulate.measured import PLACES
from fullbatch.tune.aside import SUFFIX
from fullbatch.tune.bench import ArmFailed, Boot, MeasuredLoad, RaceBench, RaceLoad
from fullbatch.tune.load import TuneLoad

_USAGE, _UNREACHABLE, _STOPPED = 2, 4, 130


@dataclass(frozen=True)
class EngineRequest:
    """Where and how: `out` gets the last load's own report and its log."""

    root: Path
    out: Path
    options: deployment.Options
    load: TuneLoad


class EngineBench(RaceBench):
    """`plans`: by arm. Each is started under one name of its own, beside whatever else there is."""

    def __init__(self, name: str, plans: Mapping[str, Plan], request: EngineRequest, say: Say) -> None:
        self._name, self._plans, self._request, self._say = name, plans, request, say
        self._began = time.monotonic()

    def spent(self) -> float:
        return time.monotonic() - self._began

    def boot(self, arm: str, held_out: bool = False) -> Boot:  # noqa: ARG002 - an engine is the same for any load
        plan = replace(self._plans[arm], name=f"{self._name}{SUFFIX}")
        running = registry.measuring().deployment(self._request.root, plan, self._request.options.ports)
        try:
            deployment.up(running, plan, self._request.options, _quiet)
        except EngineError as error:
            raise ArmFailed(reason(error)) from error
        return _EngineBoot(running, plan, self._request)


def reason(error: EngineError) -> str:
    """Why it did not start, in one line: the cause that its log names and what to change, where that is known."""
    lines = str(error).splitlines()
    named = [line for line in lines if line.startswith(("why: ", "fix: ", "the cause it names: "))]
    return "; ".join(line.partition(": ")[2] for line in named[:2]) or lines[0]


def _quiet(_text: str) -> None:
    """A boot is one line of the race."""


class _EngineBoot(Boot):
    def __init__(self, running: MeasuredDeployment, plan: Plan, request: EngineRequest) -> None:
        self._running, self._plan, self._request = running, plan, request

    def measure(self, load: RaceLoad) -> MeasuredLoad:
        out = self._request.out / "load"
        words = [
            "run",
            "--base-url", self._running.gateway_url,
            "--model", self._plan.engines[0].served_name,
            "--api-key-file", str(self._running.api_keys_file),
            "--warmup", "1",
            "--max-lag-ms", str(launcher.MAX_LAG_MS),
            "--out", str(out),
            *self._request.load.words_for(load),
        ]  # fmt: skip
        log = self._request.out / "load.log"
        with log.open("wb") as output:
            code = launcher.loadtest(words, self._request.root, "fullbatch tune", output)
        if code in (_USAGE, _UNREACHABLE, _STOPPED):
            self._refused(code, log)
        return read(out / "report.json")

    def _refused(self, code: int, log: Path) -> NoReturn:
        said = log.read_text(encoding="utf-8", errors="replace").splitlines()[-1:] or ["the load test said nothing"]
        if code == _USAGE:
            raise UsageError(said[0])
        if code == _STOPPED:
            raise KeyboardInterrupt
        raise ArmFailed(self._running.failure() or said[0])

    def end(self) -> None:
        self._running.stop(_quiet)


def read(path: Path) -> MeasuredLoad:
    """The one stage of a report; HostError where it is not whole, as on a full disk."""
    try:
        stage: Any = json.loads(path.read_text(encoding="utf-8"))["stages"][-1]
        client = stage["client"]
        failures = sum(client["failures"].values())
        if failures and not client["good"]:
            return MeasuredLoad({}, failures, bool(stage["valid"]))
        return MeasuredLoad({name: _figure(client, where) for name, where in PLACES.items()}, failures, stage["valid"])
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        why = getattr(error, "strerror", None) or "is not whole"
        raise HostError(f"{path}: {why}; see that the disk has room, and start the race again: it goes on") from error


def _figure(client: Any, where: tuple[str, ...]) -> float:
    value = client
    for word in where:
        value = value[word]
    return float(value)


def try_load(request: EngineRequest) -> None:
    """UsageError with the load test's own line, before an engine is started for nothing."""
    log = request.out / "load.log"
    words = ["run", "--plan", "--base-url", "http://127.0.0.1:1", *request.load.words_for(RaceLoad(1, held_out=True))]
    with log.open("wb") as output:
        code = launcher.loadtest(words, request.root, "fullbatch tune", output)
    if code:
        said = log.read_text(encoding="utf-8", errors="replace").splitlines()[-1:] or ["the load test said nothing"]
        raise UsageError(said[0].removeprefix("loadtest: "))
