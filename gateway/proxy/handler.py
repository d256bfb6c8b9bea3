"""Handles one generation request: parse, admit, dispatch, account. Reading `serve` alone tells the story."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from gateway.admission.controller import Admission
from gateway.admission.estimates import Estimates
from gateway.admission.slots import Slot
from gateway.core.call import Call, Principal, Usage
from gateway.core.priority import PRIORITIES
from gateway.dialects.base import Dialect
from gateway.engines.registry import EngineRegistry
from gateway.http.messages import JSON, Request
from gateway.http.reply import Reply
from gateway.keys.ledger import Ledger
from gateway.keys.rate_limits import KeyLimits
from gateway.proxy.dispatch import Dispatch
from gateway.proxy.job import Job
from gateway.proxy.usage_meter import UsageMeter
from gateway.telemetry.access_log import RequestRecord
from gateway.telemetry.metrics import Metrics

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

    async def serve(self, request: Request, reply: Reply, record: RequestRecord, dialect: Dialect) -> None:
        """Answer ``request``; what became of it is in ``record``.

        Raises:
            GatewayError: nothing has been written to ``reply``.
        """
        who = request.principal
        call = dialect.read(request)
        record.model = call.model if call.model in self.registry.models() else ""
        self.limits.permit(who, call.model, call.structured)
        self.registry.need(call.model)
        if call.structured and (refusal := self.registry.refusal(call)) is not None:
            raise refusal
        if call.ready is not None:
            reply.send(200, JSON, call.ready)
            record.outcome = "ok"
            return
        if call.opening is not None and self.registry.several(call.model):
            call.affinity = call.opening()
        call.opening = None  # it holds the whole body, parsed
        call.level = _level(who, request.headers.get(b"x-priority"))
        self.estimates.estimate(who.name, call)
        with self.limits.enter(who, call) as paid:
            reply.extra = paid.headers
            record.stage = "queued"
            slot = self.admission.enter(who, call) or await self._wait(who, call, record)
            record.stage = "waiting"
            record.waited = slot.waited
            self.metrics.admitted(call.model, slot.waited)
            with slot:
                meter = UsageMeter(call)
                if call.stream:
                    slot.hold.progress = meter
                try:
                    reply.extra += _queue_headers(slot) if slot.ticket.position else _NOT_QUEUED
                    job = Job(call, dialect, meter, record, self.metrics, request.received)
                    record.outcome = await self.dispatch.run(slot, job, reply, record)
                except asyncio.CancelledError:
                    record.outcome = "client_gone"
                    self.metrics.cancelled(record.stage)
                    raise
                finally:
                    record.usage = slot.usage = _used(call, meter, record)
                    paid.used(record.usage)
                    self._bill(who, call, meter, record)

    async def _wait(self, who: Principal, call: Call, record: RequestRecord) -> Slot:
        try:
            return await self.admission.wait(who, call)
        except asyncio.CancelledError:
            self.metrics.cancelled(record.stage)
            raise

    def _bill(self, who: Principal, call: Call, meter: UsageMeter, record: RequestRecord) -> None:
        if record.usage is None:
            return
        self.estimates.learn(who.name, call, record.usage)
        self.metrics.used(who.name, call.model, record.usage)
        if (pace := meter.seconds_per_token) is not None:
            self.metrics.paced(call.model, pace)
        self.ledger.add(who.name, call.model, record.usage)


def _queue_headers(slot: Slot) -> bytes:
    return b"x-queue-position: %d\r\nx-queue-wait: %.3f\r\n" % (slot.ticket.position, slot.waited)


def _used(call: Call, meter: UsageMeter, record: RequestRecord) -> Usage | None:
    """What the request is billed; None for nothing, when the engine refused it or broke before its first byte.

    A client that leaves before the first byte is billed its prompt, which the engine has read by then or will have.
    """
    if record.outcome == "engine_rejected":
        return None
    if meter.first_at:
        return meter.usage
    return Usage(call.prompt_tokens) if record.outcome == "client_gone" else None


def _level(who: Principal, wish: bytes | None) -> int:
    """The key's own priority, or a less urgent one that the request asks for."""
    own = PRIORITIES[who.priority]
    if wish is None:
        return own
    return max(own, PRIORITIES.get(wish.decode("latin-1").strip().lower(), own))
