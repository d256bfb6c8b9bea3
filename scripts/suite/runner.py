"""Runs steps side by side, each as soon as those it waits for are over; ends all of them when it is interrupted."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from scripts.suite.steps import Step

# Every process of a run inherits it, whatever group or session it makes for itself.
MARK = "FULLBATCH_SUITE"
_LOOK_S = 0.2
# How long tests may take to stop their engines and containers after Ctrl-C.
_FAREWELL_S = 90.0


@dataclass
class Run:
    """A step that was started."""

    step: Step
    log: Path
    process: subprocess.Popen[bytes]
    began: float
    code: int | None = None
    seconds: float = 0.0
    # Of a core, of it and of all that it has waited for: what the step costs, whatever else the machine does.
    cpu_seconds: float = 0.0
    # The second look at what failed in it, if there was one.
    alone: Run | None = None

    def has_ended(self) -> bool:
        pid, status, used = os.wait4(self.process.pid, os.WNOHANG)
        if pid:
            self.code = self.process.returncode = os.waitstatus_to_exitcode(status)
            self.cpu_seconds = used.ru_utime + used.ru_stime
        return bool(pid)

    @property
    def failed(self) -> bool:
        return self.code not in (None, 0)


@dataclass
class Runner:
    root: Path
    logs: Path
    environment: Mapping[str, str]
    say: Callable[[str], None]
    runs: dict[str, Run] = field(default_factory=dict)

    def go(self, steps: Sequence[Step]) -> list[Run]:
        """All steps to their ends, in the order in which they began; KeyboardInterrupt ends what runs."""
        shutil.rmtree(self.logs, ignore_errors=True)  # of the run before
        self.logs.mkdir(parents=True)
        return self._go(steps)

    def one(self, step: Step) -> Run:
        """A further step, after all others, to its end."""
        return self._go([step])[-1]

    def _go(self, steps: Sequence[Step]) -> list[Run]:
        mark = f"{os.getpid()}-{time.time_ns()}"
        try:
            while not self.runs.keys() >= {step.name for step in steps} or self.running():
                self._start_what_can(steps, mark)
                self._see_what_ended()
                time.sleep(_LOOK_S)
        finally:
            self._end_all(mark)
        return list(self.runs.values())

    def running(self) -> list[Run]:
        return [run for run in self.runs.values() if run.code is None]

    def _start_what_can(self, steps: Sequence[Step], mark: str) -> None:
        over = {name for name, run in self.runs.items() if run.code is not None}
        for step in steps:
            if step.name not in self.runs and over.issuperset(step.after):
                self.runs[step.name] = self._start(step, mark)

    def _start(self, step: Step, mark: str) -> Run:
        path = self.logs / f"{step.name}.log"
        with path.open("wb") as log:
            # A session of its own: Ctrl-C reaches this program alone, which then tells each step once.
            process = subprocess.Popen(
                step.command, cwd=self.root, env={**self.environment, **step.environment, MARK: mark},
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        return Run(step, path, process, time.monotonic())

    def _see_what_ended(self) -> None:
        for run in self.running():
            if run.has_ended():
                run.seconds = time.monotonic() - run.began
                self.say(f"{run.step.name}: {_outcome(run)}")

    def _end_all(self, mark: str) -> None:
        """First as Ctrl-C does, so that tests take down what they have started; then whatever bears our mark."""
        ours = self.running()
        for run in ours:
            os.killpg(run.process.pid, signal.SIGINT)
        psutil.wait_procs([psutil.Process(run.process.pid) for run in ours], timeout=_FAREWELL_S)
        left = _with_children([process for process in psutil.process_iter() if _bears(process, mark)])
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=10)
        for run in ours:
            run.code = run.process.wait()


def _with_children(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """vLLM's cores write their title over the variables that they were given: known by their parents only."""
    found = set(processes)
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            found.update(process.children(recursive=True))
    return list(found)


def _bears(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(MARK) == mark
    except psutil.Error:
        return False


def _outcome(run: Run) -> str:
    took = f"{run.seconds / 60:.1f} min"
    if not run.failed:
        return f"done in {took}{_last(run.log)}"
    return f"{'cannot be had' if run.step.prepares else 'FAILED'} ({run.code}) after {took}{_last(run.log)}"


def _last(log: Path) -> str:
    """The last line that it wrote, for the line about its end."""
    lines = [line.strip("= ") for line in log.read_text(errors="replace").splitlines() if line.strip("= ")]
    return f": {lines[-1]}" if lines else ""
