"""The open loop: each request leaves at its intended start, however many answers are still missing.

Times count from the intended start, so a server that stalls makes the requests late that came meanwhile; in a closed
loop they would not have been sent, and the stall would not be seen (docs/decisions/0010-generating-load.md).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from time import perf_counter_ns

from gevent.pool import Group  # type: ignore[import-untyped]

from loadtest.client.connection import StreamConnection
from loadtest.client.conversation import OngoingConversation
from loadtest.client.record import Record
from loadtest.runner.stage import Stage
from loadtest.runner.users import StageUser, connect_early

_MOST_EARLY_CONNECTIONS = 128
_MOST_WARMING = 16


def open_loop(user: StageUser, stage: Stage, _number: int) -> None:
    """Sends off every arrival of the stage, then waits for the answers. The user's end ends what still runs."""
    starts = stage.work.starts or ()
    idle = [StreamConnection(user.servers[0]) for _ in range(_connections(stage))]
    under_way = Group()
    try:
        _warm_up(user, stage, idle)
        stage.warm.arrive()
        for connection in idle:
            connect_early(connection)
        stage.start.arrive()
        for number in stage.share:
            # Built before it is due: what building costs is not lateness while the server has time to answer.
            ongoing = user.conversation(stage.place(number))
            due = stage.released + int(starts[number] * 1e9)
            _sleep_until(due)
            under_way.spawn(_converse, user, stage, ongoing, (number, due), idle)
        under_way.join()
    finally:
        under_way.kill()
        for connection in idle:
            connection.close()
    stage.leave()


def _converse(
    user: StageUser, stage: Stage, ongoing: OngoingConversation, place: tuple[int, int], idle: list[StreamConnection]
) -> None:
    connection = idle.pop() if idle else StreamConnection(user.servers[0])
    try:
        for made in user.converse(ongoing, _maker(stage, *place), connection):
            stage.records.append(made)
        idle.append(connection)
    except Exception as defect:  # noqa: BLE001 - our own defect: told to the runner, or it would vanish
        stage.fail(defect)


def _maker(stage: Stage, number: int, due: int) -> Callable[[int], Record]:
    def record(plan: int) -> Record:
        return Record(stage.number, number, 0, plan=plan or due, send=plan or due)

    return record


def _connections(stage: Stage) -> int:
    """As many as two seconds of arrivals at the highest rate; more are opened when they are needed."""
    highest = max(stage.plan.rate or (1.0,)) * len(stage.share) / max(1, len(stage.work.starts or ()))
    return min(_MOST_EARLY_CONNECTIONS, max(4, math.ceil(2 * highest)))


def _warm_up(user: StageUser, stage: Stage, idle: list[StreamConnection]) -> None:
    group = Group()
    for number, connection in zip(stage.share, idle[:_MOST_WARMING], strict=False):
        group.spawn(user.warm_up, stage, number, connection)
    group.join(raise_error=True)


def _sleep_until(due: int) -> None:
    while (left := due - perf_counter_ns()) > 0:
        time.sleep(left / 1e9)
