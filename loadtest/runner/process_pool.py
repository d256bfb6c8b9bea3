"""The pool of client processes: each has a share of a stage's users or arrivals, and all start together.

Locust's own `--processes` has no barrier (its users begin as they are spawned), sends response times rounded to two
digits, and notices a dead worker by a missed heartbeat; so these are processes of our own, with a `StageRunner` each
and pipes between (docs/decisions/0010-generating-load.md).
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from queue import Empty, Queue
from threading import Event, Thread
from time import perf_counter_ns
from typing import IO, Any

from loadtest.analysis.client_health import NOT_MEASURED
from loadtest.client.record import Record
from loadtest.runner.stage import Stage
from loadtest.runner.stages import SideLoads, StageResult
from loadtest.runner.worker_protocol import Connect, Ended, Phase, Release, RunStage, Stop, packed, receive

_POLL_S = 0.1
_LEAD_NS = 50_000_000  # between telling all workers when to begin, and that moment
_ANSWER_S = 10.0  # for a worker to end its stage when it is told to
_END_S = 5.0

WorkerMessages = Queue[tuple["WorkerProcess", Any]]


class WorkerProcess:
    """One process, and how far it is. Numbers are from 1, as a person is told them."""

    def __init__(self, number: int, said: WorkerMessages) -> None:
        self.number = number
        self.phase = Phase.OVER
        self.ended: Ended | None = None
        pipe = subprocess.PIPE
        # A session of its own: Ctrl-C in a terminal goes to us alone, and we tell it.
        command = [sys.executable, "-m", "loadtest", "worker"]
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, start_new_session=True)
        assert self.process.stdin is not None and self.process.stdout is not None
        self._stdin: IO[bytes] = self.process.stdin
        self._stdout: IO[bytes] = self.process.stdout
        self._reader = Thread(target=self._listen, args=(said,), daemon=True)
        self._reader.start()

    def _listen(self, said: WorkerMessages) -> None:
        while (message := receive(self._stdout)) is not None:
            said.put((self, message))
        said.put((self, None))

    def tell(self, message: object) -> None:
        try:
            self._stdin.write(packed(message))
            self._stdin.flush()
        except BrokenPipeError:
            return  # it is dead, and its end is read on the other pipe

    def close(self) -> None:
        """Ends it: by the end of its stdin, or by its pid."""
        try:
            self._stdin.close()
        except BrokenPipeError:
            pass
        try:
            self.process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join(_END_S)
        self._stdout.close()

    def how_it_died(self) -> str:
        code = self.process.wait(_END_S)
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        return f"client process {self.number} (pid {self.process.pid}) ended {how}"


class ProcessPool:
    """`borders`: by side, called just before and just after each of its stages. `stop` ends the run early.

    `died` names the workers that ended before they were told to; the stage then ends early, with what there is.
    """

    def __init__(
        self, loads: SideLoads, borders: Mapping[str, Callable[[], None]], stop: Event, processes: int
    ) -> None:
        self.died: list[str] = []
        self._borders = borders
        self._stop = stop
        self._said: WorkerMessages = Queue()
        self._workers = [WorkerProcess(number, self._said) for number in range(1, processes + 1)]
        for worker in self._workers:
            worker.tell(dict(loads))

    def run_stage(self, stage: Stage, tick: Callable[[Stage], None]) -> StageResult:
        working = self._begin(stage)
        border, until = self._borders[stage.plan.side], _Waiting(self, working, stage, tick)
        until(Phase.WARM)
        for worker in working:
            worker.tell(Connect())
        until(Phase.READY)
        if not until.stopped:
            border()
            stage.release(perf_counter_ns() + _LEAD_NS)
            for worker in working:
                worker.tell(Release(stage.released))
        until(Phase.OVER)
        if stage.released:
            border()
        ended = [worker.ended for worker in self._workers]
        if all(worker.ended and worker.ended.complete for worker in working):
            stage.finish()
        paces = [NOT_MEASURED if one is None else one.pace for one in ended]
        return StageResult(stage, max([stage.released, *(one.at for one in ended if one)]), paces)

    def _begin(self, stage: Stage) -> list[WorkerProcess]:
        """Gives each worker its share; those are left out that have none."""
        working, count = [], len(self._workers)
        for worker in self._workers:
            worker.ended = None
            share = stage.work.of(worker.number - 1, count, stage.plan.users or 1)
            if share.share or worker.number == 1:
                working.append(worker)
                worker.phase = Phase.WARMING
                worker.tell(RunStage(stage.plan, share))
        return working

    def close(self) -> None:
        for worker in self._workers:
            worker.close()

    @property
    def ending(self) -> bool:
        return self._stop.is_set() or bool(self.died)

    def take_in(self, stage: Stage) -> None:
        """What the workers have said by now, after waiting a moment for it."""
        timeout = _POLL_S
        try:
            while True:
                worker, said = self._said.get(timeout=timeout)
                timeout = 0.0
                self._take(worker, said, stage)
        except Empty:
            return

    def _take(self, worker: WorkerProcess, said: object, stage: Stage) -> None:
        if isinstance(said, Record):
            stage.records.append(said)
        elif isinstance(said, Phase):
            worker.phase = said
        elif isinstance(said, Ended):
            worker.phase, worker.ended = Phase.OVER, said
            stage.warmups += said.warmups
        else:
            worker.phase = Phase.OVER
            self.died.append(f"{worker.how_it_died()} at {stage.plan.label}")


class _Waiting:
    """Waits until every worker of a stage is as far as wanted; when the run is to end, until all have ended."""

    def __init__(
        self, pool: ProcessPool, working: list[WorkerProcess], stage: Stage, tick: Callable[[Stage], None]
    ) -> None:
        self._pool = pool
        self._working = working
        self._stage = stage
        self._tick = tick
        self._latest = 0.0
        self.stopped = False

    def __call__(self, phase: Phase) -> None:
        while any(worker.phase < phase for worker in self._working):
            self._pool.take_in(self._stage)
            self._tick(self._stage)
            if self._pool.ending:
                self._end()

    def _end(self) -> None:
        if not self.stopped:
            self.stopped, self._latest = True, time.monotonic() + _ANSWER_S
            for worker in self._working:
                worker.tell(Stop())
        elif time.monotonic() > self._latest:
            for worker in self._working:
                if worker.phase < Phase.OVER:
                    worker.process.kill()
