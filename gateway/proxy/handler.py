"""Handles one generation request: parse, admit, dispatch, account. Reading `serve` alone tells the story."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from gateway.admission.controller import Admission
from gateway.admission.estimates import Estimates
from gateway.admission.slots import Slot
from gateway.core.call import Principal, Usage
from gateway.core.errors import FarRefused, NoPlace
from gateway.core.priority import PRIORITIES
from gateway.core.record import RequestRecord
from gateway.core.ticker import Ticker
from gateway.core.trace import PARENT
from gateway.dialects.base import Dialect
from gateway.engines.peer_report import VIA
from gateway.engines.registry import EngineRegistry
from gateway.http.messages import JSON, Request
from gateway.http.reply import Reply
from gateway.keys.ledger import Ledger
from gateway.keys.rate_limits import KeyLimits
from gateway.proxy.dispatch import Dispatch
from gateway.proxy.loading_notice import LoadingNotice
from gateway.proxy.usage_meter import UsageMeter
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.traces import Traces
from gateway.turns.desk import Turns

_NOT_QUEUED = b"x-queue-position: 0\r\nx-queue-wait: 0\r\n"


@dataclass(slots=True)
class GenerationHandler:
    """Serves requests that engines answer."""

    registry: EngineRegistry
    estimates: Estimates
    limits: KeyLimits
    admission: Admission
    dispatch: Dispatch
    metrics: Metrics
    ledger: Ledger
    turns: Turns
    ticker: Ticker
    traces: Traces

    async def serve(self, request: Request, reply: Reply, dialect: Dialect) -> None:
        """Answer ``request``; what became of it is in its record.

        Raises:
            GatewayError: nothing has been written to ``reply``.
        """
        if self.traces.on or PARENT in request.headers:
            self.traces.begin(request, request.headers)
        who = request.principal
        request.call = call = dialect.read(request)
        if call.model in self.registry.models():
            request.model = call.model
        self.limits.permit(who, call.model, call.structured)
        self.registry.need(call.model, call, who.name)
        if VIA in request.headers:
            call.local = True
            self.registry.need_own(call.model)
        if call.structured and (refusal := self.registry.refusal(call)) is not None:
            raise refusal
        if call.ready is not None and not (call.loads and self.registry.away(call.model)):
            self._ready(request, reply, call.ready)
            return
        if call.opening is not None and self.registry.several(call.model):
            call.affinity = call.opening()
        call.opening = None  # it holds the whole body, parsed
        call.level = _level(who, request.headers.get(b"x-priority"))
        self.estimates.estimate(who.name, call)
        reply.extra = self.limits.enter(request)
        try:
            request.stage = "queued"
            if request.trace is not None:
                request.trace.queued = self.ticker.now()
            slot = self.admission.enter(request) or await self._wait(request, reply, dialect)
            with slot:
                self.metrics.admitted(request)
                begun = await self._send(slot, reply, dialect)
            while not begun:
                with await self._wait(request, reply, dialect, request.received) as slot:
                    begun = await self._send(slot, reply, dialect)
        finally:
            self.limits.leave(request)

    async def _send(self, slot: Slot, reply: Reply, dialect: Dialect) -> bool:
        """Have it answered; False if another box's gateway did not take it, and nobody else could."""
        request, told, call = slot.record, reply.extra, slot.record.call
        if call.ready is not None:
            self._ready(reply.request, reply, call.ready)
            return True
        request.stage = "waiting"
        if request.trace is not None:
            request.trace.admitted = self.ticker.now()
        meter = UsageMeter(call)
        if call.stream:
            slot.progress = meter
        try:
            reply.extra += _queue_headers(request) if request.position else _NOT_QUEUED
            request.outcome = await self.dispatch.run(slot, reply, dialect, meter)
        except FarRefused:
            reply.extra = told
            return False
        except asyncio.CancelledError:
            request.outcome = "client_gone"
            self.metrics.cancelled(request.stage)
            raise
        finally:
            self._account(request, meter)
            if request.trace is not None:
                request.trace.first = meter.first_at
            if call.let_go:
                self.turns.let_go(call.model)
        return True

    def _ready(self, request: Request, reply: Reply, body: bytes) -> None:
        """An answer that needs no engine."""
        reply.send(200, JSON, body)
        request.outcome = "ok"
        if request.call.let_go:
            self.turns.let_go(request.call.model)

    async def _wait(self, request: Request, reply: Reply, dialect: Dialect, since: float | None = None) -> Slot:
        """A slot after a wait. ``since``: it has waited before, from then on.

        Raises:
            NoPlace: it waits at home, at the gateway that it comes from.
        """
        if request.call.local:
            raise NoPlace(f"model '{request.call.model}' has no place free here; try again in 1 s", retry_after=1)
        request.stage = "queued"
        expected = self.turns.expect(request)
        if expected is None:
            return await self._queued(request, since)
        notice = LoadingNotice(reply, dialect, expected, self.ticker.now())
        self.ticker.add(notice)
        try:
            return await self._queued(request, since)
        finally:
            self.ticker.discard(notice)

    async def _queued(self, record: RequestRecord, since: float | None) -> Slot:
        try:
            return await self.admission.wait(record, since)
        except asyncio.CancelledError:
            self.metrics.cancelled(record.stage)
            raise

    def _account(self, record: RequestRecord, meter: UsageMeter) -> None:
        record.usage = usage = _used(record, meter)
        if usage is not None:
            record.pace, name = meter.seconds_per_token, record.principal.name
            self.estimates.learn(name, record.call, usage)
            self.ledger.add(name, record.call.model, usage)


def _queue_headers(record: RequestRecord) -> bytes:
    headers = b"x-queue-position: %d\r\nx-queue-wait: %.3f\r\n" % (record.position, record.waited or 0.0)
    return headers + b"x-load-wait: %.3f\r\n" % record.load_wait if record.load_wait else headers


def _used(record: RequestRecord, meter: UsageMeter) -> Usage | None:
    """What the request is billed; None for nothing, when the engine refused it or broke before its first byte.

    A client that leaves before the first byte is billed its prompt, which the engine has read by then or will have.
    """
    if record.outcome == "engine_rejected":
        return None
    if meter.first_at:
        return meter.usage
    return Usage(record.call.prompt_tokens) if record.outcome == "client_gone" else None


def _level(who: Principal, wish: bytes | None) -> int:
    """The key's own priority, or a less urgent one that the request asks for."""
    own = PRIORITIES[who.priority]
    if wish is None:
        return own
    return max(own, PRIORITIES.get(wish.decode("latin-1").strip().lower(), own))
