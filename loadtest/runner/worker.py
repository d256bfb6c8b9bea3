"""`python -m loadtest worker`: one of several client processes of a run (`--processes`), started by process_pool.py.

It has its own users, connections and ticker, and tells each request as it ended, so that nothing of a percentile is
lost. The end of stdin ends it: it cannot outlive the run.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from queue import Empty, Queue
from threading import Event, Thread
from time import perf_counter, perf_counter_ns, sleep
from typing import IO, Any

from common.printable import shown
from loadtest.client.record import Record
from loadtest.core.errors import LoadtestError
from loadtest.runner.stage import Stage
from loadtest.runner.stages import StageGate, StageRunner
from loadtest.runner.worker_protocol import Connect, Ended, Phase, Release, RunStage, Stop, packed, receive

_POLL_S = 0.1
_EARLY_NS = 3_000_000
_PAUSE_S = 0.0005  # what telling may take of the client's loop, ten times a second


class Inbox:
    """What the run has said. `stop` is set by its `Stop`, and by its end."""

    def __init__(self) -> None:
        self.stop = Event()
        self._queue: Queue[Any] = Queue()

    def listen(self, stream: IO[bytes]) -> None:
        while (order := _order(stream)) is not None:
            if isinstance(order, Stop):
                self.stop.set()
            else:
                self._queue.put(order)
        self.stop.set()
        self._queue.put(None)

    def next(self) -> Any:
        """Waits for it; None when the run is over."""
        return self._queue.get()

    def next_unless_stopped(self) -> Any:
        while not self.stop.is_set():
            try:
                return self._queue.get(timeout=_POLL_S)
            except Empty:
                continue
        return None


def _order(stream: IO[bytes]) -> Any:
    """A problem in place of an order that cannot be taken in, as when the file of a data set has changed."""
    try:
        return receive(stream)
    except LoadtestError as problem:
        return problem


class Outbox:
    """What goes to the run: `write` takes whole messages."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._told = 0

    def say(self, message: object) -> None:
        self._write(packed(message))

    def begin(self) -> None:
        self._told = 0

    def tell(self, stage: Stage, seconds: float | None = _PAUSE_S) -> None:
        """Requests that have ended since the last time, for at most `seconds`: a longer pause would be measured."""
        end = None if seconds is None else perf_counter() + seconds
        parts: list[bytes] = []
        while self._told < len(stage.records) and (end is None or perf_counter() < end):
            record: Record = stage.records[self._told]
            parts.append(packed(record))
            self._told += 1
        if parts:
            self._write(b"".join(parts))


class SharedStageGate(StageGate):
    """Waits until every process is as far, and goes at the moment that all were told."""

    def __init__(self, orders: Inbox, telling: Outbox) -> None:
        super().__init__(lambda: None)
        self._orders = orders
        self._telling = telling

    def warmed(self) -> None:
        self._telling.say(Phase.WARM)
        said = self._orders.next_unless_stopped()
        assert said is None or isinstance(said, Connect)

    def ready(self) -> int | None:
        self._telling.say(Phase.READY)
        said = self._orders.next_unless_stopped()
        if not isinstance(said, Release):
            return None
        sleep(max(0, said.at - perf_counter_ns() - _EARLY_NS) / 1e9)
        while perf_counter_ns() < said.at:
            pass  # a sleep ends a millisecond late, and the first requests would be as late
        return said.at


def work(orders: Inbox, telling: Outbox) -> None:
    """Stage after stage, until the run is over."""
    loads = orders.next()
    if loads is None:
        return
    if isinstance(loads, LoadtestError):
        raise loads
    gate = SharedStageGate(orders, telling)
    stage_runners = {
        side: StageRunner(servers, requests, orders.stop, gate) for side, (servers, requests) in loads.items()
    }
    while isinstance(order := orders.next(), RunStage):
        telling.begin()
        stage = Stage(order.plan, order.work)
        finished = stage_runners[order.plan.side].run_stage(stage, telling.tell)
        telling.tell(stage, None)
        telling.say(Ended(finished.ended, stage.complete, finished.pace[0], stage.warmups))
    for runner in stage_runners.values():
        runner.close()


def main() -> int:
    from gevent.fileobject import FileObject  # type: ignore[import-untyped]

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the run, which then tells us
    told = os.dup(1)
    os.dup2(2, 1)  # whatever prints must not fall between two messages
    stdin, stdout = FileObject(0, "rb", closefd=False), FileObject(told, "wb")

    def write(message: bytes) -> None:
        stdout.write(message)
        stdout.flush()

    orders = Inbox()
    Thread(target=orders.listen, args=(stdin,), daemon=True, name="orders").start()
    try:
        work(orders, Outbox(write))
    except BrokenPipeError:
        return 1
    except LoadtestError as problem:
        os.write(2, shown(f"loadtest: {problem}\n").encode())
        return problem.exit_code
    return 0
