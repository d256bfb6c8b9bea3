"""Relays an engine's answer to the client, byte by byte."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal

from gateway.admission.slots import Slot
from gateway.config.settings import Limits
from gateway.core.errors import EngineBroken, EngineSilent, GatewayError, How
from gateway.dialects.base import Dialect
from gateway.dialects.openai import ABORTED
from gateway.http.client import EngineConnection, Head
from gateway.http.messages import JSON
from gateway.http.reply import Reply
from gateway.proxy.answer_head import refused, retry_after
from gateway.proxy.hidden_usage import EVENT_END
from gateway.proxy.usage_meter import UsageMeter
from gateway.telemetry.metrics import Metrics

# An answer that is no stream is held back until it is whole, up to this size: an engine that dies is then a clean 502.
HOLD_BYTES = 256 * 1024
# A whole answer that has to be translated is held to its end.
MAX_TRANSLATED = 32 * 1024 * 1024
# An event that is longer than this goes on in pieces.
MAX_EVENT_BYTES = 256 * 1024
# What reading JSON of another shape than expected comes to.
_UNEXPECTED = (ValueError, LookupError, TypeError, AttributeError)
# How vLLM 0.32 answers 500 to a new request after SIGTERM: its tokeniser's threads are gone, nothing has begun.
DRAINING = b"cannot schedule new futures after shutdown"
MAX_FAULT_BYTES = 4096
_NO_HEAD = Head()  # of an answer that has not begun

Outcome = Literal["ok", "engine_rejected", "engine_error", "engine_timeout", "cut", "client_gone", "stopping"]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all relays share."""

    limits: Limits
    metrics: Metrics
    loop: asyncio.AbstractEventLoop


class Relay:
    """Receives one response. Called for every read from the engine: nothing here makes a task, a timer or a dict."""

    __slots__ = (
        "_around", "_call", "_connection", "_dialect", "_engine", "_failed", "_head", "_held", "_last", "_meter",
        "_moved", "_quiet_since", "_reply", "_slot", "_translation", "_whole", "began", "done",
    )  # fmt: skip

    def __init__(
        self,
        reply: Reply,
        connection: EngineConnection,
        slot: Slot,
        dialect: Dialect,
        meter: UsageMeter,
        around: Surroundings,
    ) -> None:
        self.done: asyncio.Future[Outcome] = around.loop.create_future()
        self._reply = reply
        self._connection = connection
        self._slot = slot
        self._engine = slot.engine.target.label
        self._around = around
        self._head = _NO_HEAD
        self._held = b""
        self._whole = bytearray()  # what is translated at its end: one buffer that grows, not a copy for each read
        self._last = b""
        self._failed = False
        self._dialect = dialect
        self._meter = meter
        self._call = call = reply.request.call
        self._translation = call.translation
        self._moved = False
        self.began = self._quiet_since = around.loop.time()
        if self._translation is not None:
            self._translation.begin()

    @property
    def unread(self) -> int:
        return 0 if self._meter.first_at else self._call.prompt_tokens

    @property
    def structured_since(self) -> float:
        return 0.0 if self._meter.first_at or not self._call.structured else self.began

    @property
    def level(self) -> int:
        return self._call.level

    @property
    def blocked(self) -> bool:
        return self._reply.blocked

    @property
    def last_byte_at(self) -> float:
        return self._meter.last_at

    def on_head(self, head: Head) -> None:
        self._head = head
        error = refused(head, self._engine, self._call.stream, self._slot.engine.far)
        if error is not None:
            self._give_up(error)
        elif head.status == 429:
            self._reply.extra += b"retry-after: %d\r\n" % retry_after(head)

    def on_data(self, data: bytes) -> None:
        head = self._head
        if head.status == 500:
            self._held = (self._held + data)[:MAX_FAULT_BYTES]
            return
        if not head.events:
            if not data.isspace():  # blanks before JSON keep a connection alive, and are no answer
                self._brought()
            if self._translation is not None:
                self._gather(data)
                return
        if self._held:
            data = self._held + data
            self._held = b""
        if head.events:
            if not data.endswith(EVENT_END):
                data = self._keep_half_event(data)
            if data:
                self._pass_events(data)
        elif not self._reply.started and len(data) <= HOLD_BYTES:
            self._held = data
        else:
            self._meter.whole(data)
            self._pass(data)

    def _brought(self) -> None:
        """A piece of the answer has come: of what the engine was asked for, not a comment, a ping or a head."""
        self._moved = True
        meter, now = self._meter, self._around.loop.time()
        if not meter.last_at:
            self._begun(now)
        meter.last_at = now

    def _begun(self, now: float) -> None:
        """The first byte of an answer's body has come; of a stream its first event, not a comment or a ping."""
        record = self._reply.request
        record.stage = "streaming"
        if self._head.status >= 400:  # a refusal costs nothing
            return
        self._meter.first_at = now
        self._slot.engine.read(self._slot)
        # Observed when it happens: a long answer would else report its first token minutes late.
        if self._call.stream:
            record.ttft = now - record.received
            self._around.metrics.first_byte(record, record.ttft)

    def _gather(self, data: bytes) -> None:
        self._whole += data
        if len(self._whole) > MAX_TRANSLATED:
            limit = MAX_TRANSLATED // 2**20
            self._give_up(EngineBroken(f"{self._engine} answered more than {limit} MiB; ask for less at once"))

    def _pass_events(self, data: bytes) -> None:
        if self._dialect.failed(data):
            self._failed = True
        last = data
        data = self._meter.stream(data)
        if self._meter.brought:
            self._last = last
            self._brought()
        if self._translation is not None:
            try:
                data = self._translation.stream(data)
            except _UNEXPECTED:
                self._break(EngineBroken(f"{self._engine} sent an event that is not as vLLM's are"), "engine_error")
                self._connection.cancel(self)
                return
        if data:
            self._pass(data)

    def on_end(self) -> None:
        if self.done.done():
            return
        if self._head.status == 500:
            how: How = "declined" if DRAINING in self._held else "broken"
            self.done.set_exception(EngineBroken(f"{self._engine} answered 500", how=how))
            return
        if self._head.events and not self._failed and (self._held or not self._dialect.ended(self._last)):
            self._break(EngineBroken(f"{self._engine} ended the stream before it was complete"), "cut")
            return
        if self._reply.started:
            self._reply.finish()
        elif self._head.events:
            self._reply.send(self._head.status, self._content_type(), b"")
        else:
            self._send_whole(bytes(self._whole) if self._whole else self._held)
        if not self.done.done():
            whole: Outcome = "ok" if self._head.status < 400 else "engine_rejected"
            self.done.set_result("engine_error" if self._failed else whole)

    def _send_whole(self, body: bytes) -> None:
        if self._head.status >= 400:
            self._reply.send(self._head.status, JSON, self._dialect.refusal(self._head.status, body))
            return
        if ABORTED in body:  # by an ending engine, which works on it no more; the client has seen nothing
            self.done.set_exception(EngineBroken(f"{self._engine} gave the request up", how="declined"))
            return
        if not body or body.isspace():
            self.done.set_exception(EngineBroken(f"{self._engine} answered nothing"))
            return
        self._meter.whole(body)
        if self._translation is not None:
            try:
                translated = self._translation.whole(body)
            except _UNEXPECTED:
                self.done.set_exception(EngineBroken(f"{self._engine} answered what is not as vLLM's answers are"))
                return
            self._reply.send(self._head.status, JSON, translated)
        else:
            self._reply.send(self._head.status, self._content_type(), body)

    def on_lost(self, why: str, how: How) -> None:
        if not self.done.done():
            self._break(EngineBroken(f"{self._engine} {why}", how=how), "cut")

    def cut(self, error: GatewayError, outcome: Outcome = "engine_timeout") -> None:
        if not self.done.done():
            self._break(error, outcome)
            self._connection.cancel(self)

    def pause(self) -> None:
        """The client does not keep up: read no more from the engine, until `resume`."""
        if not self.done.done():
            self._connection.pause()

    def resume(self) -> None:
        if not self.done.done():
            self._connection.resume()

    def stop(self, error: GatewayError) -> None:
        """The gateway ends, or its model has to go: tell the client, and let go of the engine."""
        self.cut(error, "stopping")

    def check(self, now: float) -> None:
        """Time limits (called by the ticker)."""
        if self.done.done():
            return
        if self._moved:
            self._moved = False
            self._quiet_since = now
        limits = self._around.limits
        # Comments may have begun the reply of a stream long before its first token.
        begun = self._meter.first_at > 0 if self._head.events else self._reply.started
        limit = limits.idle_timeout_s if begun else limits.first_token_timeout_s
        if now - self._quiet_since < limit:
            return
        if self._reply.blocked:
            self.done.set_result("client_gone")
            self._reply.break_off()
        else:
            self._break(EngineSilent(f"{self._engine} sent no token for {limit:g} s"), "engine_timeout")
        self._connection.cancel(self)

    def _keep_half_event(self, data: bytes) -> bytes:
        """Hold back what follows the last complete event, so that an error event can be put after any write."""
        end = data.rfind(EVENT_END) + len(EVENT_END) if EVENT_END in data else 0
        if len(data) - end > MAX_EVENT_BYTES:
            return data
        self._held = data[end:]
        return data[:end]

    def _pass(self, data: bytes) -> None:
        head = self._head
        if self._reply.started:
            self._reply.write(data)
        else:
            self._reply.start(head.status, self._content_type(), None if head.events else head.length, data)

    def _content_type(self) -> bytes:
        """Of the answer that the client gets."""
        if self._head.events and self._translation is not None:
            return self._translation.stream_type
        return self._head.content_type or JSON

    def _break(self, error: GatewayError, outcome: Outcome) -> None:
        """The engine failed: an error if nothing was written yet, an error event in a stream, else a cut."""
        if not self._reply.started:
            self.done.set_exception(error)
            return
        if self._head.events:
            self._reply.write(self._meter.rest + self._dialect.error_event(error))
            self._reply.finish()  # the framing is whole, so the connection stays
        else:
            self._reply.break_off()
        self.done.set_result(outcome)

    def _give_up(self, error: GatewayError) -> None:
        self.done.set_exception(error)
        self._connection.cancel(self)
