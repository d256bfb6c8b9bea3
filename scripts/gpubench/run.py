"""Runs the cells of a matrix one after the other within a time budget, and writes each one's JSON at once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fullbatch.core.errors import EngineError, FullbatchError, HostError
from fullbatch.runtime.base import Ports, Say
from scripts.gpubench import models, plans
from scripts.gpubench.matrix import PLACE, Cell, Matrix
from scripts.gpubench.sides import Llama, LlamaProgram, Running, Vllm, forget

_POLL_S = 0.2
# A cell that is given less is not begun; the load test gets this long to write what it has.
LEAST_S, PATIENCE_S = 45.0, 20.0
_SIZING_LIMIT_S = 240.0
# What `loadtest compare` calls a part of a side, and `loadtest run` an option.
_OPTIONS = {"metrics": "--engine-metrics", "key-file": "--api-key-file"}


@dataclass(frozen=True)
class BenchOptions:
    """Where results go, this machine, what llama.cpp is started with (None: not there), and the time there is."""

    root: Path
    out: Path
    here: plans.Here
    llama: LlamaProgram | None
    deadline: float
    say: Say
    ports: Ports = Ports(engine=8100)


class RunningSides:
    """Sides that stay up while the next cell needs them too."""

    def __init__(self, matrix: Matrix, options: BenchOptions) -> None:
        self.matrix, self.options = matrix, options
        self._up: dict[tuple[str, str], Running] = {}
        self._sides_so_far = 0

    def run(self, cells: list[Cell]) -> int:
        """The number of cells that are not done. Whatever happens, all sides are stopped."""
        try:
            for cell in cells:
                if not done(self.options.out, cell):
                    self._cell(cell)
        finally:
            for key in list(self._up):
                self._stop(key)
        return sum(not done(self.options.out, cell) for cell in cells)

    def _cell(self, cell: Cell) -> None:
        left = self.options.deadline - time.monotonic()
        if left < LEAST_S:
            self.options.say(f"{cell.name}: not begun, {max(0.0, left):.0f} s are left")
            return
        folder = self.options.out / cell.name
        folder.mkdir(parents=True, exist_ok=True)
        found: dict[str, Any] = {"cell": cell.model_dump(), "began": _now(), "status": "failed"}
        try:
            with _terminable():
                self._measure(cell, folder, found)
        except FullbatchError as error:
            found["error"] = str(error)[:4000]
            self.options.say(f"{cell.name}: {str(error).splitlines()[0]}")
        finally:
            found["ended"] = _now()
            (folder / "cell.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")

    def _measure(self, cell: Cell, folder: Path, found: dict[str, Any]) -> None:
        names = [name for name in cell.sides if self.options.llama or not self.matrix.sides[name].is_llama]
        found["left_out"] = [name for name in cell.sides if name not in names]
        if not names:
            needed = f"{', '.join(cell.sides)} need llama.cpp; run scripts/llama-server install"
            raise HostError(f"none of its sides can be started here: {needed}")
        self._only(cell.model, names)
        found["refused"] = {name: self._refusal(cell.model, name, folder) for name in cell.refused}
        for name in names:
            self._start(cell.model, name)
        sides = [self._up[cell.model, name] for name in names]
        for side in sides:
            side.wait()
        found["sides"] = {name: side.facts() for name, side in zip(names, sides, strict=True)}
        for name, side in zip(names, sides, strict=True):
            (folder / f"{name}.log").write_text(getattr(side, "log", str)(), encoding="utf-8")
        self.options.say(f"{cell.name}: {', '.join(names)} are up")
        first, only_gateway = sides[0], cell.gateway and len(sides) == 1
        if not only_gateway:  # else the run through the gateway has it too
            found["exit_code"] = self._load(cell, folder, [side.words(folder) for side in sides])
        if cell.gateway and isinstance(first, Vllm):
            (folder / "gateway").mkdir(exist_ok=True)
            both = [first.words(folder), first.gateway_words(folder)]
            found["gateway_exit_code"] = self._load(cell, folder / "gateway", both)
        codes = {found.get("exit_code", 0), found.get("gateway_exit_code", 0)}
        found["status"] = "done" if codes <= {0, 1, 3} else "cut short"

    def _load(self, cell: Cell, folder: Path, words: list[str]) -> int:
        load = self.matrix.load_of(cell)
        command = [sys.executable, "-m", "loadtest", "compare" if len(words) > 1 else "run", "--out", str(folder)]
        workload = str(PLACE / cell.workload) if cell.workload.endswith(".yaml") else cell.workload
        command += ["--workload", workload, "--mode", "closed", "--users", ",".join(map(str, load.users))]
        command += ["--requests-per-user", str(load.requests_per_user), "--repeats", str(load.repeats)]
        if cell.workload == "seed":
            command += ["--prompt-tokens", str(load.prompt_tokens), "--max-tokens", str(load.output_tokens)]
        if len(words) > 1:
            command += ["--target", str(self.options.root / "loadtest" / "targets.yaml"), *words]
        else:
            command += _alone(words[0])
        process = subprocess.Popen(command, cwd=self.options.root)
        try:
            return process.wait(max(1.0, self.options.deadline - time.monotonic()))
        except (subprocess.TimeoutExpired, KeyboardInterrupt) as reason:
            process.send_signal(signal.SIGINT)
            try:
                code = process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
            if isinstance(reason, KeyboardInterrupt):
                raise
            return code

    def _start(self, model: str, name: str) -> None:
        """Started beside those that are up, and left alone with the card until it has taken its memory."""
        if (model, name) in self._up:
            return
        side = self.matrix.sides[name]
        if side.is_llama:
            weights = models.gguf_file(self.options.here.models, model)
            assert self.options.llama is not None  # sides without a program were left out
            log = self.options.out / f"{model}-{name}.log"
            program = replace(self.options.llama, port=self._ports().engine or 0)
            started: Running = Llama(program, name, (model, weights), side, log)
        else:
            planned = plans.make(self.matrix, model, name, self.options.here)
            forget(self.options.root, planned.plan)
            started = Vllm(self.options.root, name, planned.plan, self._ports(), self.options.say)
        self._up[model, name] = started
        _until(started.sized, _SIZING_LIMIT_S)

    def _refusal(self, model: str, name: str, folder: Path) -> dict[str, Any]:
        """Start a side that is expected not to start; what the plan said before, and the engine's own words."""
        planned = plans.make(self.matrix, model, name, self.options.here)
        side = Vllm(self.options.root, name, planned.plan, self._ports(), self.options.say)
        self._up[model, name] = side
        said: dict[str, Any] = {"predicted": planned.refusal, "started": True}
        try:
            side.wait()
        except EngineError as error:
            said |= {"started": False, "engine_says": str(error)[:3000]}
        (folder / f"{name}.log").write_text(side.log(), encoding="utf-8")
        self._stop((model, name))
        return said

    def _ports(self) -> Ports:
        """The first that no side has had: one that was stopped may still hold its own."""
        self._sides_so_far += 1
        first = self.options.ports
        return Ports(first.gateway + self._sides_so_far - 1, (first.engine or 8100) + 20 * (self._sides_so_far - 1))

    def _only(self, model: str, names: list[str]) -> None:
        for key in [key for key in self._up if key not in {(model, name) for name in names}]:
            self._stop(key)

    def _stop(self, key: tuple[str, str]) -> None:
        self._up.pop(key).stop()


def done(out: Path, cell: Cell) -> bool:
    """Whether an earlier run has finished it."""
    try:
        found = json.loads((out / cell.name / "cell.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(found.get("status") == "done")


def _alone(words: str) -> list[str]:
    """`run` takes what `compare` has in one word as options."""
    address, *rest = words.split(",")
    found = ["--base-url", address.partition("=")[2]]
    for word in rest:
        name, _, value = word.partition("=")
        found += [_OPTIONS.get(name, f"--{name}"), value]
    return found


def _until(condition: Callable[[], bool], limit: float) -> None:
    end = time.monotonic() + limit
    while not condition() and time.monotonic() < end:
        time.sleep(_POLL_S)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@contextmanager
def _terminable() -> Iterator[None]:
    """A polite end asks for the same as Ctrl-C: stop the sides, keep what there is."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
