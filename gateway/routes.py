"""The HTTP surface: paths, and what is answered without an engine. `tokens` serves the rest."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
from prometheus_client import CONTENT_TYPE_LATEST

from gateway.access_log import AccessLog, Visit
from gateway.auth import Auth
from gateway.backends import Health
from gateway.dialects.base import Dialect
from gateway.dialects.openai import OpenAI
from gateway.errors import (
    GatewayError,
    Internal,
    MethodNotAllowed,
    NotFound,
    Overloaded,
    Stopping,
    TooManyConnections,
    UnsupportedEncoding,
)
from gateway.http1 import JSON, Request
from gateway.reply import Reply
from gateway.scrape import Scrape
from gateway.sweeper import Sweeper
from gateway.tokens import Tokens

CLIENT_GONE_STATUS = 499
_OUTCOMES = {429: "overloaded", 500: "internal", 502: "engine_error", 503: "no_engine", 504: "engine_timeout"}
_OUTCOMES_BY_CODE = {Stopping.code: "stopping", TooManyConnections.code: "overloaded"}
STOPPING_RETRY_S = 5
_OPENAI = OpenAI()
_log = logging.getLogger("gateway")

Handler = Callable[[Request, Reply, Visit], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Route:
    """A path. ``counted``: a request for tokens or embeddings, which metrics and log take note of."""

    method: bytes
    handler: Handler
    needs_key: bool = True
    counted: bool = False
    dialect: Dialect = _OPENAI


@dataclass(frozen=True, slots=True)
class Parts:
    """What the routes work with, built once in app.py."""

    auth: Auth
    tokens: Tokens
    scrape: Scrape
    access_log: AccessLog
    sweeper: Sweeper
    loop: asyncio.AbstractEventLoop


class Routes:
    """Knows the paths; everything else is 404."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._backends = parts.tokens.backends
        self._metrics_of = parts.tokens.metrics
        self.draining = False
        self._started = int(datetime.now(UTC).timestamp())
        self._table: dict[bytes, Route] = {
            b"/v1/models": Route(b"GET", self._models),
            b"/health": Route(b"GET", self._health, needs_key=False),
            b"/livez": Route(b"GET", self._livez, needs_key=False),
            b"/metrics": Route(b"GET", self._metrics, needs_key=False),
        }
        for path in (b"/v1/chat/completions", b"/v1/completions", b"/v1/embeddings"):
            self._table[path] = self._engine_route(_OPENAI)

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
            headers = request.headers
            request.principal = self._parts.auth.principal(headers.get(b"authorization"), headers.get(b"x-api-key"))
            if self.draining:
                raise stopping()
        if request.headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise UnsupportedEncoding("compressed bodies are not taken; send the JSON as it is")

    def dialect(self, request: Request) -> Dialect:
        """How errors are told at this path."""
        route = self._table.get(request.path)
        return route.dialect if route is not None else _OPENAI

    def refused(self, request: Request, error: GatewayError) -> None:
        """Take note of a request that ended before `handle`."""
        route = self._table.get(request.path)
        visit = Visit(request.id, request.path.decode() if route else "other", key=request.principal.name)
        self._judge(visit, error)
        self._note(visit, request, error.status, counted=route is None or route.counted)

    async def handle(self, request: Request, reply: Reply) -> None:
        """Answer one request, whatever happens on the way. Cancelled when the client goes away."""
        route = self._table[request.path]
        visit = Visit(request.id, request.path.decode(), key=request.principal.name)
        reply.keep_alive = reply.keep_alive and not self.draining
        try:
            await route.handler(request, reply, visit)
        except GatewayError as error:
            self._judge(visit, error)
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

    def _engine_route(self, dialect: Dialect) -> Route:
        tokens = self._parts.tokens

        async def serve(request: Request, reply: Reply, visit: Visit) -> None:
            await tokens.serve(request, reply, visit, dialect)

        return Route(b"POST", serve, counted=True, dialect=dialect)

    async def _models(self, request: Request, reply: Reply, visit: Visit) -> None:  # noqa: ARG002
        mine = request.principal.models
        cards = [
            {"id": model, "object": "model", "created": self._started, "owned_by": "fullbatch",
             "max_model_len": engine.max_model_len}
            for model, engine in self._backends.models().items()
            if mine is None or model in mine
        ]  # fmt: skip
        reply.send(200, JSON, orjson.dumps({"object": "list", "data": cards}))

    async def _health(self, request: Request, reply: Reply, visit: Visit) -> None:  # noqa: ARG002
        healths = self._backends.health()
        good = any(health.state == "up" for health in healths) and not self.draining
        status = "draining" if self.draining else "ok" if good else "no engine is up"
        body = {"status": status, "engines": [_health_entry(health) for health in healths]}
        reply.send(200 if good else 503, JSON, orjson.dumps(body), b"" if good else b"retry-after: 2\r\n")

    async def _livez(self, request: Request, reply: Reply, visit: Visit) -> None:  # noqa: ARG002
        reply.send(200, JSON, b'{"status":"ok"}')

    async def _metrics(self, request: Request, reply: Reply, visit: Visit) -> None:  # noqa: ARG002
        reply.send(200, CONTENT_TYPE_LATEST.encode(), self._parts.scrape.text())

    def _judge(self, visit: Visit, error: GatewayError) -> None:
        visit.outcome = _OUTCOMES_BY_CODE.get(error.code) or _OUTCOMES.get(error.status, "refused")
        if isinstance(error, Overloaded):
            visit.limit = error.reason

    def _note(self, visit: Visit, request: Request, status: int, counted: bool) -> None:
        parts = self._parts
        if status != CLIENT_GONE_STATUS:
            self._metrics_of.responded(status)
        if not counted:
            return
        seconds = parts.loop.time() - request.received if request.received else 0.0
        self._metrics_of.finished(visit, seconds)
        parts.access_log.add(visit, status, seconds)


def stopping() -> Stopping:
    """What requests are told while the gateway drains: soon another one listens here."""
    return Stopping(f"gateway is stopping; try again in {STOPPING_RETRY_S} s", retry_after=STOPPING_RETRY_S)


def _health_entry(health: Health) -> dict[str, object]:
    entry: dict[str, object] = {
        "name": health.name,
        "state": health.state,
        "since": datetime.fromtimestamp(health.since, UTC).isoformat(timespec="seconds"),
        "addresses": {"up": health.up, "known": health.addresses},
        "models": health.models,
    }
    return entry | ({"reason": health.reason} if health.reason else {})
