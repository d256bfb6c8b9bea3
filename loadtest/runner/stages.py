"""Runs stages on one side with Locust's own runner: spawn, warm up, barrier, release, wait, stop."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from time import perf_counter_ns

from locust.env import Environment
from locust.runners import LocalRunner

from loadtest.analysis.client_health import NOT_MEASURED, LagMonitor, Pace
from loadtest.client.connection import Server
from loadtest.runner.open_loop import open_loop
from loadtest.runner.stage import Stage
from loadtest.runner.users import StageUser, closed_loop
from loadtest.workload.requests import ChatRequests

# Of each side by its name: its servers, and what they are asked.
SideLoads = Mapping[str, tuple[tuple[Server, ...], ChatRequests]]

_POLL_S = 0.1
_MAX_SPAWN_RATE = 100  # Locust warns above


@dataclass(frozen=True, slots=True)
class StageResult:
    """One stage after its end, or as far as it came. `ended` is perf_counter_ns; `pace` of each client process."""

    stage: Stage
    ended: int
    pace: Sequence[Pace]


class StageGate:
    """What a stage runner waits for. `border` is called just before and just after each stage: one more sample."""

    def __init__(self, border: Callable[[], None]) -> None:
        self._border = border

    def warmed(self) -> None:
        """Every user is warm."""

    def ready(self) -> int | None:
        """Every user has its connection: when they are let go (perf_counter_ns), at once; None: not at all."""
        self._border()
        return perf_counter_ns()

    def over(self) -> None:
        self._border()


class StageRunner:
    """`tick` is called ten times a second. `servers`: the side's, once for each key.

    `stop` ends the run early: what is there is kept.
    """

    def __init__(self, servers: tuple[Server, ...], requests: ChatRequests, stop: Event, gate: StageGate) -> None:
        class User(StageUser):
            pass

        User.servers, User.requests = servers, requests
        self._user_class = User
        self.environment = Environment(user_classes=[User], host=servers[0].authority)
        self._runner: LocalRunner = self.environment.create_local_runner()
        self._stop = stop
        self._gate = gate

    def run_stage(self, stage: Stage, tick: Callable[[Stage], None]) -> StageResult:
        self._user_class.stage = stage
        self._user_class.work = closed_loop if stage.work.starts is None else open_loop
        self._runner.start(stage.users, min(stage.users, _MAX_SPAWN_RATE))
        try:
            return self._run_stage(stage, tick)
        finally:
            self._runner.stop()

    def close(self) -> None:
        self._runner.quit()

    def _run_stage(self, stage: Stage, tick: Callable[[Stage], None]) -> StageResult:
        """Both barriers are needed: connections are checked after the slowest warm-up, then all go together."""
        self._wait(stage.warm.full, stage, tick)
        self._gate.warmed()
        stage.warm.open()
        self._wait(stage.start.full, stage, tick)
        ticker = LagMonitor()
        with _no_garbage_collection():
            at = None if self._stop.is_set() else self._gate.ready()
            if at is None:
                return StageResult(stage, perf_counter_ns(), [NOT_MEASURED])
            ticker.start()
            stage.release(at)
            self._wait(stage.over, stage, tick)
            ended = perf_counter_ns()
            pace = ticker.stop()
        self._gate.over()
        return StageResult(stage, ended, [pace])

    def _wait(self, event: Event, stage: Stage, tick: Callable[[Stage], None]) -> None:
        while not event.wait(_POLL_S) and not self._stop.is_set():
            tick(stage)
        if stage.defect is not None:
            raise stage.defect


class SingleProcess:
    """All sides of a run, run by this process: a stage runner for each."""

    died: Sequence[str] = ()

    def __init__(self, loads: SideLoads, borders: Mapping[str, Callable[[], None]], stop: Event) -> None:
        self._runners = {
            side: StageRunner(servers, requests, stop, StageGate(borders[side]))
            for side, (servers, requests) in loads.items()
        }

    def run_stage(self, stage: Stage, tick: Callable[[Stage], None]) -> StageResult:
        return self._runners[stage.plan.side].run_stage(stage, tick)

    def close(self) -> None:
        for runner in self._runners.values():
            runner.close()


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """A collection in the middle of a stage would be read as the server's pause."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
