"""One request for tokens, from its body to its bill. Reading `serve` alone tells the story."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from gateway.admission.controller import Admission
from gateway.admission.estimates import Estimates
from gateway.admission.slots import Place
from gateway.core.call import Call, Principal, Usage
from gateway.core.priority import PRIORITIES
from gateway.dialects.base import Dialect
from gateway.engines.registry import Backends
from gateway.http.messages import JSON, Request
from gateway.http.reply import Reply
from gateway.keys.ledger import Ledger
from gateway.keys.rate_limits import KeyLimits
from gateway.proxy.dispatch import Dispatch
from gateway.proxy.job import Job
from gateway.proxy.usage_meter import Meter
from gateway.telemetry.access_log import Visit
from gateway.telemetry.metrics import Metrics

_NOT_QUEUED = b"x-queue-position: 0\r\nx-queue-wait: 0\r\n"


@dataclass(slots=True)
class Tokens:
    """Serves requests that engines answer."""

    backends: Backends
    estimates: Estimates
    limits: KeyLimits
    admission: Admission
    dispatch: Dispatch
    metrics: Metrics
    ledger: Ledger

    async def serve(self, request: Request, reply: Reply, visit: Visit, dialect: Dialect) -> None:
        """Answer ``request``; what became of it is in ``visit``.

        Raises:
            GatewayError: nothing has been written to ``reply``.
        """
        who = request.principal
        call = dialect.read(request)
        visit.model = call.model if call.model in self.backends.models() else ""
        self.limits.permit(who, call.model, call.structured)
        self.backends.need(call.model)
        if call.structured and (refusal := self.backends.refusal(call)) is not None:
            raise refusal
        if call.ready is not None:
            reply.send(200, JSON, call.ready)
            visit.outcome = "ok"
            return
        if call.opening is not None and self.backends.several(call.model):
            call.affinity = call.opening()
        call.opening = None  # it holds the whole body, parsed
        call.level = _level(who, request.headers.get(b"x-priority"))
        self.estimates.estimate(who.name, call)
        with self.limits.enter(who, call) as paid:
            reply.extra = paid.headers
            visit.stage = "queued"
            place = self.admission.enter(who, call) or await self._wait(who, call, visit)
            visit.stage = "waiting"
            visit.waited = place.waited
            self.metrics.admitted(call.model, place.waited)
            with place:
                meter = Meter(call)
                if call.stream:
                    place.hold.progress = meter
                try:
                    reply.extra += _queue_headers(place) if place.ticket.position else _NOT_QUEUED
                    job = Job(call, dialect, meter, visit, self.metrics, request.received)
                    visit.outcome = await self.dispatch.run(place, job, reply, visit)
                except asyncio.CancelledError:
                    visit.outcome = "client_gone"
                    self.metrics.cancelled(visit.stage)
                    raise
                finally:
                    visit.usage = place.usage = _used(call, meter, visit)
                    paid.used(visit.usage)
                    self._bill(who, call, meter, visit)

    async def _wait(self, who: Principal, call: Call, visit: Visit) -> Place:
        try:
            return await self.admission.wait(who, call)
        except asyncio.CancelledError:
            self.metrics.cancelled(visit.stage)
            raise

    def _bill(self, who: Principal, call: Call, meter: Meter, visit: Visit) -> None:
        if visit.usage is None:
            return
        self.estimates.learn(who.name, call, visit.usage)
        self.metrics.used(who.name, call.model, visit.usage)
        if (pace := meter.seconds_per_token) is not None:
            self.metrics.paced(call.model, pace)
        self.ledger.add(who.name, call.model, visit.usage)


def _queue_headers(place: Place) -> bytes:
    return b"x-queue-position: %d\r\nx-queue-wait: %.3f\r\n" % (place.ticket.position, place.waited)


def _used(call: Call, meter: Meter, visit: Visit) -> Usage | None:
    """What the request is billed; None for nothing, when the engine refused it or broke before its first byte.

    A client that leaves before the first byte is billed its prompt, which the engine has read by then or will have.
    """
    if visit.outcome == "engine_rejected":
        return None
    if meter.first_at:
        return meter.usage
    return Usage(call.prompt_tokens) if visit.outcome == "client_gone" else None


def _level(who: Principal, wish: bytes | None) -> int:
    """The key's own priority, or a less urgent one that the request asks for."""
    own = PRIORITIES[who.priority]
    if wish is None:
        return own
    return max(own, PRIORITIES.get(wish.decode("latin-1").strip().lower(), own))
