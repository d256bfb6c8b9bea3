"""Locust users: one streaming chat request, a conversation, and the user who works through a stage."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import count
from time import perf_counter_ns
from typing import ClassVar

from locust import User, task
from locust.exception import StopUser

from loadtest.analysis.metrics import e2e_ms
from loadtest.client.connection import Server, StreamConnection
from loadtest.client.conversation import OngoingConversation
from loadtest.client.record import Record
from loadtest.runner.stage import Stage
from loadtest.workload.requests import CHAT_PATH, ChatRequests
from loadtest.workload.source import Place

WARMUP_TOKENS = 8
_STEADY = 100  # conversations in which all kinds come by their weights
_REST_S = 1.0  # a closed loop against a dead server would otherwise fail thousands of times a second


class FailedRequest(Exception):
    """What Locust's failure table shows for a request that is not a success."""


class ChatUser(User):
    """Asks and reads whole streams, one after the other. Subclasses say of whom (one server per key) and what."""

    abstract = True
    servers: tuple[Server, ...]
    requests: ChatRequests

    _connection: StreamConnection | None = None

    @property
    def connection(self) -> StreamConnection:
        if self._connection is None:
            self._connection = StreamConnection(self.servers[0])
        return self._connection

    def on_stop(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def conversation(self, place: Place) -> OngoingConversation:
        return OngoingConversation(self.requests, place, self.servers)

    def ask(self, request: bytes, record: Record, connection: StreamConnection | None = None) -> Record:
        """One request, told to Locust once: whole duration, output tokens as its length."""
        (connection or self.connection).exchange(request, record)
        whole = e2e_ms(record) if record.ok else (record.end - record.send) / 1e6
        self.environment.events.request.fire(
            request_type="stream",
            name=CHAT_PATH,
            response_time=whole,
            response_length=record.tokens,
            exception=None if record.ok else FailedRequest(f"{record.outcome}: {record.detail}"),
            context={"record": record},
        )
        return record

    def converse(
        self, ongoing: OngoingConversation, record: Callable[[int], Record], connection: StreamConnection | None = None
    ) -> Iterator[Record]:
        """A conversation turn by turn, to its end or its first failure. `record` makes one for an intended start."""
        script, request, plan = ongoing.script, ongoing.request(), 0
        while True:
            made = record(plan)
            made.kind, made.turn, made.key = script.kind, ongoing.number, script.key
            made.max_tokens, made.answer, made.model = ongoing.output_tokens, ongoing.answer(), script.model
            yield self.ask(request, made, connection)
            ongoing.answered = made.ok
            if not made.ok or not ongoing.goes_on(made.answer):
                return
            plan = made.end + int(script.think_s * 1e9)
            request = ongoing.request()
            time.sleep(max(0.0, (plan - perf_counter_ns()) / 1e9))


class SteadyUser(ChatUser):
    """Talks for as long as it lives: the closed loop that Locust's web UI drives."""

    abstract = True
    _numbers: ClassVar[count[int]] = count()

    @task
    def chat(self) -> None:
        number = next(self._numbers)
        ongoing = self.conversation(Place("steady", number % _STEADY, _STEADY, number // _STEADY))

        def record(plan: int) -> Record:
            return Record(0, 0, number, plan=plan or perf_counter_ns(), send=perf_counter_ns())

        for _ in self.converse(ongoing, record):
            pass
        if not ongoing.answered:
            time.sleep(_REST_S)


class StageUser(ChatUser):
    """Warms up, waits for all others, sends its share, and is gone. The stage runner sets `stage` before it spawns."""

    abstract = True
    stage: ClassVar[Stage]
    work: ClassVar[Callable[[StageUser, Stage, int], None]]

    @task
    def run_stage(self) -> None:
        stage = self.stage
        try:
            type(self).work(self, stage, stage.join())
        except Exception as defect:  # noqa: BLE001 - our own defect: told to the stage runner, or the stage would hang
            stage.fail(defect)
        raise StopUser

    def warm_up(self, stage: Stage, user: int, connection: StreamConnection | None = None) -> None:
        for index in range(stage.work.warmup):
            now = perf_counter_ns()
            ongoing = self.conversation(stage.place(user, index, warmup=True))
            record = Record(
                stage.number, user, index, plan=now, send=now, kind=ongoing.script.kind, key=ongoing.script.key
            )
            stage.warmups.append(self.ask(ongoing.request(WARMUP_TOKENS), record, connection))


def closed_loop(user: StageUser, stage: Stage, number: int) -> None:
    """One conversation after the other: a fixed number of them, or until the stage's deadline."""
    user.warm_up(stage, number)
    wanted = stage.plan.requests_per_user
    conversations = [user.conversation(stage.place(number, index)) for index in range(wanted or 1)]
    stage.warm.arrive()
    connect_early(user.connection)
    stage.start.arrive()
    free, deadline = stage.released, stage.deadline
    for index in count():
        if index == wanted or (deadline is not None and perf_counter_ns() >= deadline):
            break
        ongoing = conversations[index] if index < len(conversations) else user.conversation(stage.place(number, index))
        free = _one_conversation(user, stage, ongoing, (number, index, free))
        if deadline is not None and not ongoing.answered:
            time.sleep(_REST_S)
    stage.leave()


def _one_conversation(user: StageUser, stage: Stage, ongoing: OngoingConversation, place: tuple[int, int, int]) -> int:
    """Runs it and returns when its user is free again."""
    number, index, free = place

    def record(plan: int) -> Record:
        return Record(stage.number, number, index, plan=plan or free, send=plan or free)

    for made in user.converse(ongoing, record):
        stage.records.append(made)
        free = made.end
    return free


def connect_early(connection: StreamConnection) -> None:
    """So that no handshake falls into the measured time. If it fails, the request itself will say so."""
    try:
        connection.ensure_open()
    except OSError:
        connection.close()
