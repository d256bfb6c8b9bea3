"""The HTTP surface. Reading `_complete` alone tells the story of a request."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
from prometheus_client import CONTENT_TYPE_LATEST

from gateway import routing, wire
from gateway.access_log import AccessLog, Visit
from gateway.admission import Admission
from gateway.auth import Auth
from gateway.backends import Address, Backends, Health
from gateway.errors import (
    EngineBroken,
    GatewayError,
    Internal,
    MethodNotAllowed,
    NotFound,
    UnsupportedEncoding,
)
from gateway.http1 import JSON, Request
from gateway.metrics import EngineGauges, Gauges, Metrics
from gateway.proxy import Exchange, Outcome
from gateway.reply import Reply
from gateway.sweeper import Sweeper

CLIENT_GONE_STATUS = 499
_OUTCOMES = {429: "overloaded", 500: "internal", 502: "engine_error", 503: "no_engine", 504: "engine_timeout"}
_log = logging.getLogger("gateway")

Handler = Callable[[Request, Reply, Visit], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Route:
    """A path. ``counted``: a request for tokens or embeddings, which metrics and log take note of."""

    method: bytes
    handler: Handler
    needs_key: bool = True
    counted: bool = False


@dataclass(frozen=True, slots=True)
class Parts:
    """What the routes work with, built once in app.py."""

    auth: Auth
    admission: Admission
    backends: Backends
    exchange: Exchange
    metrics: Metrics
    access_log: AccessLog
    sweeper: Sweeper
    loop: asyncio.AbstractEventLoop


class Routes:
    """Knows the paths; everything else is 404."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._started = int(datetime.now(UTC).timestamp())
        self._turn = 0
        tokens = Route(b"POST", self._complete, counted=True)
        self._table = {
            b"/v1/chat/completions": tokens,
            b"/v1/completions": tokens,
            b"/v1/embeddings": tokens,
            b"/v1/models": Route(b"GET", self._models),
            b"/health": Route(b"GET", self._health, needs_key=False),
            b"/livez": Route(b"GET", self._livez, needs_key=False),
            b"/metrics": Route(b"GET", self._metrics, needs_key=False),
        }

    def check(self, request: Request) -> None:
        """Judge a head before a byte of its body is read.

        Raises:
            NotFound, MethodNotAllowed, Unauthorized, UnsupportedEncoding
        """
        route = self._table.get(request.path)
        if route is None:
            raise NotFound(f"nothing is served at this path; there are {', '.join(p.decode() for p in self._table)}")
        if request.method != route.method:
            raise MethodNotAllowed(f"{request.path.decode()} takes {route.method.decode()} only")
        if route.needs_key:
            self._parts.auth.principal(request.headers.get(b"authorization"), request.headers.get(b"x-api-key"))
        if request.headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise UnsupportedEncoding("compressed bodies are not taken; send the JSON as it is")

    def refused(self, request: Request, error: GatewayError) -> None:
        """Take note of a request that ended before `handle`."""
        route = self._table.get(request.path)
        visit = Visit(request.id, request.path.decode() if route else "other", outcome=self._outcome(error))
        self._note(visit, request, error.status, counted=route is None or route.counted)

    async def handle(self, request: Request, reply: Reply) -> None:
        """Answer one request, whatever happens on the way. Cancelled when the client goes away."""
        route = self._table[request.path]
        visit = Visit(request.id, request.path.decode())
        try:
            await route.handler(request, reply, visit)
        except GatewayError as error:
            visit.outcome = self._outcome(error)
            reply.refuse(error)
        except asyncio.CancelledError:
            visit.outcome = "client_gone"
            raise
        except Exception:  # noqa: BLE001 a defect must cost one request, not the connection's silence
            _log.exception("request %s failed", request.id)
            if reply.started:
                reply.break_off()
            else:
                reply.refuse(Internal(f"a defect of the gateway; its log has more under {request.id}"))
        finally:
            self._note(visit, request, reply.status or CLIENT_GONE_STATUS, route.counted)

    async def _complete(self, request: Request, reply: Reply, visit: Visit) -> None:
        ask = wire.read(request.body)
        visit.model = ask.model if ask.model in self._parts.backends.models() else ""
        candidates = self._parts.backends.candidates(ask.model)
        with self._parts.admission.slot():
            visit.outcome = await self._send(ask, candidates, request, reply, visit)

    async def _send(
        self, ask: wire.Ask, candidates: list[Address], request: Request, reply: Reply, visit: Visit
    ) -> Outcome:
        """To the least loaded engine; to others only while nobody can have seen the whole request."""

        def on_first_byte(status: int, at: float) -> None:
            # Observed when it happens: a long answer would else report its first token minutes late.
            if ask.stream and status < 400:
                visit.ttft = at - request.received
                self._parts.metrics.first_byte(visit.endpoint, visit.model, visit.ttft)

        while candidates:
            self._turn += 1
            address = candidates.pop(routing.choose([each.in_flight for each in candidates], self._turn))
            visit.engine = address.engine.name
            address.in_flight += 1
            try:
                return await self._parts.exchange.run(address.target, request.path, request.body, reply, on_first_byte)
            except EngineBroken as error:
                if not error.unsent:
                    raise
                self._parts.backends.failed(address, error.message)
            finally:
                address.in_flight -= 1
        raise self._parts.backends.none_up(ask.model)

    async def _models(self, request: Request, reply: Reply, visit: Visit) -> None:  # noqa: ARG002
        cards = [
            {"id": model, "object": "model", "created": self._started, "owned_by": "fullbatch",
             "max_model_len": engine.max_model_len}
            for model, engine in self._parts.backends.models().items()
        ]  # fmt: skip
        reply.send(200, JSON, orjson.dumps({"object": "list", "data": cards}))

    async def _health(self, request: Request, reply: Reply, visit: Visit) -> None:  # noqa: ARG002
        healths = self._parts.backends.health()
        good = any(health.state == "up" for health in healths)
        body = {"status": "ok" if good else "no engine is up", "engines": [_health_entry(health) for health in healths]}
        reply.send(200 if good else 503, JSON, orjson.dumps(body), b"" if good else b"retry-after: 2\r\n")

    async def _livez(self, request: Request, reply: Reply, visit: Visit) -> None:  # noqa: ARG002
        reply.send(200, JSON, b'{"status":"ok"}')

    async def _metrics(self, request: Request, reply: Reply, visit: Visit) -> None:  # noqa: ARG002
        parts = self._parts
        engines: dict[str, EngineGauges] = {}
        for settings in parts.backends.engines:
            numbers = (settings.max_num_seqs, settings.max_num_batched_tokens, settings.max_model_len)
            engines[settings.name] = EngineGauges(settings.name, *numbers, settings.kv_cache_tokens, {})
        for address in parts.backends.addresses():
            engines[address.engine.name].up[address.label] = address.state == "up"
        gauges = Gauges(parts.admission.in_flight, parts.sweeper.lag, list(engines.values()))
        reply.send(200, CONTENT_TYPE_LATEST.encode(), parts.metrics.render(gauges))

    def _outcome(self, error: GatewayError) -> str:
        return _OUTCOMES.get(error.status, "refused")

    def _note(self, visit: Visit, request: Request, status: int, counted: bool) -> None:
        parts = self._parts
        if status != CLIENT_GONE_STATUS:
            parts.metrics.responded(status)
        if not counted:
            return
        seconds = parts.loop.time() - request.received if request.received else 0.0
        parts.metrics.finished(visit.endpoint, visit.model, visit.outcome, seconds)
        parts.access_log.add(visit, status, seconds)


def _health_entry(health: Health) -> dict[str, object]:
    entry: dict[str, object] = {
        "name": health.name,
        "state": health.state,
        "since": datetime.fromtimestamp(health.since, UTC).isoformat(timespec="seconds"),
        "addresses": {"up": health.up, "known": health.addresses},
        "models": health.models,
    }
    return entry | ({"reason": health.reason} if health.reason else {})
