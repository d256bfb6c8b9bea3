"""Traces of requests: begun here, told to the engine, and handed to a thread that sends spans (`span_export`).

Off (the default) it costs a look at one header: what a client traces by itself still reaches the engine.
"""

from __future__ import annotations

import queue
import random
import time
from dataclasses import dataclass

from gateway.core import trace
from gateway.core.record import RequestRecord
from gateway.core.trace import PARENT, STATE, TraceContext

# What may wait for a collector that is slow or gone, before traces are lost: about 2 MB.
MAX_WAITING = 4096


@dataclass(frozen=True, slots=True)
class EndedRequest:
    """One that has ended: its trace, whose times are of the loop's clock, what it was, and both clocks at its end."""

    trace: TraceContext
    received: float
    ended: float
    ended_unix: float
    id: str
    endpoint: str
    key: str
    model: str
    engine: str
    address: str
    status: int
    outcome: str
    error: str
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int


class Traces:
    """Of one gateway. ``on``: whether it traces itself. ``lost``: requests whose spans nobody could take in time."""

    def __init__(self, on: bool, sample: float) -> None:
        self.on = on
        self._sample = sample
        self.waiting: queue.SimpleQueue[EndedRequest | None] = queue.SimpleQueue()
        self.lost = 0

    def begin(self, record: RequestRecord, headers: dict[bytes, bytes]) -> None:
        """It has come, with these headers."""
        parent, state = headers.get(PARENT, b""), headers.get(STATE, b"")
        if not self.on:
            record.trace_headers = trace.passed_on(parent, state)
            return
        begun = trace.begin(parent, state, self._sample >= 1 or random.random() < self._sample)
        record.trace = begun
        record.trace_headers = begun.headers()

    def add(self, record: RequestRecord, status: int, ended: float) -> None:
        """It has ended, by the loop's clock; never blocks."""
        traced = record.trace
        if traced is None or not traced.sampled:
            return
        if self.waiting.qsize() >= MAX_WAITING:
            self.lost += 1
            return
        usage = record.usage
        prompt, cached, output = 0, 0, 0
        if usage is not None:
            prompt, cached, output = usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens
        self.waiting.put(
            EndedRequest(
                traced, record.received, ended, time.time(), record.id, record.endpoint, record.principal.name,
                record.model, record.engine, record.address, status, record.outcome, record.error,
                prompt, cached, output,
            )
        )  # fmt: skip
