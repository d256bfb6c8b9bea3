"""Locust users: one streaming chat request, and the user who climbs a stage of the ladder."""

from __future__ import annotations

import time
from itertools import count
from time import perf_counter_ns
from typing import ClassVar

from locust import User, task
from locust.exception import StopUser

from loadtest.barrier import Stage
from loadtest.connection import Connection, Server
from loadtest.metrics import e2e_ms
from loadtest.prompts import CHAT_PATH, Workload
from loadtest.record import Record

WARMUP_TOKENS = 8
_REST_S = 1.0  # a closed loop against a dead server would otherwise fail thousands of times a second


class FailedRequest(Exception):
    """What Locust's failure table shows for a request that is not a success."""


class ChatUser(User):
    """Asks and reads whole streams, one after the other. Subclasses say of whom and what."""

    abstract = True
    server: Server
    workload: Workload

    _connection: Connection | None = None

    @property
    def connection(self) -> Connection:
        if self._connection is None:
            self._connection = Connection(self.server)
        return self._connection

    def on_stop(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def request(self, label: str, max_tokens: int | None = None) -> bytes:
        return self.server.request("POST", CHAT_PATH, self.workload.body(label, max_tokens))

    def ask(self, request: bytes, record: Record) -> Record:
        """One request, told to Locust once: whole duration, output tokens as its length."""
        self.connection.exchange(request, record)
        whole = e2e_ms(record) if record.ok else (record.end - record.send) / 1e6
        self.environment.events.request.fire(
            request_type="stream",
            name=CHAT_PATH,
            response_time=whole,
            response_length=record.tokens,
            exception=None if record.ok else FailedRequest(f"{record.outcome}: {record.detail}"),
            context={},
        )
        return record


class SteadyUser(ChatUser):
    """Asks for as long as it lives: the closed loop that Locust's web UI drives."""

    abstract = True
    _numbers: ClassVar[count[int]] = count()

    @task
    def chat(self) -> None:
        number = next(self._numbers)
        now = perf_counter_ns()
        record = self.ask(self.request(f"steady-{number}"), Record(0, 0, number, plan=now, send=now))
        if not record.ok:
            time.sleep(_REST_S)


class LadderUser(ChatUser):
    """Warms up, waits for all others, sends its share, and is gone. The ladder sets `stage` before it spawns."""

    abstract = True
    stage: ClassVar[Stage]

    @task
    def climb(self) -> None:
        stage = self.stage
        try:
            self._climb(stage, stage.join())
        except Exception as defect:  # noqa: BLE001 - our own defect: told to the ladder, or the stage would hang
            stage.fail(defect)
        raise StopUser

    def _climb(self, stage: Stage, user: int) -> None:
        for index in range(stage.warmup):
            now = perf_counter_ns()
            request = self.request(f"warmup-{stage.number}-{user}-{index}", WARMUP_TOKENS)
            stage.warmups.append(self.ask(request, Record(stage.number, user, index, plan=now, send=now)))
        requests = [self.request(f"{stage.number}-{user}-{index}") for index in range(stage.requests_per_user)]
        stage.warm.arrive()
        self._connect_early()
        stage.start.arrive()
        free = stage.released
        for index, request in enumerate(requests):
            record = self.ask(request, Record(stage.number, user, index, plan=free, send=free))
            stage.records.append(record)
            free = record.end
        stage.leave()

    def _connect_early(self) -> None:
        """So that no handshake falls into the measured time. If it fails, the request itself will say so."""
        try:
            self.connection.ensure_open()
        except OSError:
            self.connection.close()
