"""The HTTP surface: an allow-list of paths. `system_endpoints` answers some, `handler` those that need an engine."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from gateway import __version__
from gateway.api import openapi, outcome
from gateway.api.peer_endpoint import PeerEndpoint
from gateway.api.system_endpoints import MODELS_PATH, SystemEndpoints
from gateway.bodies import json_weight
from gateway.config.rules import CurrentRules
from gateway.core.errors import (
    GatewayError,
    Internal,
    MethodNotAllowed,
    NotFound,
    Stopping,
    UnsupportedEncoding,
)
from gateway.core.record import RequestRecord
from gateway.core.ticker import Ticker
from gateway.dialects.anthropic import Anthropic, CountTokens
from gateway.dialects.base import Dialect
from gateway.dialects.ollama import Embed, Generate, Ollama, OllamaChat
from gateway.dialects.openai import OpenAI, Responses, Texts, Tokenizer
from gateway.http import cors
from gateway.http.messages import TEXT, Request
from gateway.http.reply import Reply
from gateway.keys.auth import Auth
from gateway.keys.users import HEADER as USER
from gateway.pages.endpoints import PageParts, Pages
from gateway.proxy.handler import GenerationHandler
from gateway.telemetry.access_log import AccessLog
from gateway.telemetry.exposition import Exposition
from gateway.telemetry.recent import Recent

CLIENT_GONE_STATUS = 499
STOPPING_RETRY_S = 5
_GET = frozenset({b"GET", b"HEAD"})
_POST = frozenset({b"POST"})
_EVENTS = ("application/json", "text/event-stream")
_LINES = ("application/json", "application/x-ndjson")
_log = logging.getLogger("gateway")

Handler = Callable[[Request, Reply], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Route:
    """A path. ``counted``: a request that an engine answers, which metrics and log take note of.

    ``more_with_key``: needs none; one that is sent is judged, and an operator's shows more.
    ``summary``, ``body``, ``answers``: for the OpenAPI document.
    """

    path: str
    handler: Handler
    dialect: Dialect
    summary: str
    methods: frozenset[bytes] = _GET
    needs_key: bool = True
    more_with_key: bool = False
    counted: bool = False
    body: str = ""
    answers: tuple[str, ...] = ("application/json",)


@dataclass(frozen=True, slots=True)
class RouteParts:
    """What the routes work with, built once in app.py."""

    auth: Auth
    handler: GenerationHandler
    exposition: Exposition
    access_log: AccessLog
    ticker: Ticker
    loop: asyncio.AbstractEventLoop
    rules: CurrentRules
    recent: Recent
    pages: PageParts


class Routes:
    """Knows the paths; everything else is 404."""

    def __init__(self, parts: RouteParts) -> None:
        self._parts = parts
        self._metrics_of = parts.handler.metrics
        self.draining = False
        models = parts.handler.registry.models
        self._openai = OpenAI(models, parts.rules)
        self._anthropic = Anthropic(models, parts.rules)
        self._ollama = Ollama(models, parts.rules)
        self.pages = Pages(parts.pages, lambda: self.draining)
        parted = (lambda: self.draining, parts.ticker.supervisor, parts.rules)
        endpoints = SystemEndpoints(parts.handler, parts.exposition, self._document, *parted)
        routes = (
            *self._openai_routes(),
            *self._anthropic_routes(),
            *self._ollama_routes(endpoints),
            *self._own_routes(endpoints),
            *self._page_routes(),
        )
        self._table = {route.path.encode(): route for route in routes}
        self._model = Route("/v1/models/{model}", endpoints.model, self._openai, "One model")
        self._paths = ", ".join(route.path for route in self._all())

    def check(self, request: Request) -> None:
        """Judge a head before a byte of its body is read.

        Raises:
            NotFound, MethodNotAllowed, Unauthorized, UnsupportedEncoding
        """
        origins = self._parts.rules().origins
        if origins:
            request.cors = cors.headers(request, origins)
        route = self._table.get(request.target) or self._find(request)
        if route is None:
            raise NotFound(f"nothing is served at this path; there are {self._paths}")
        if request.method not in route.methods:
            if cors.is_preflight(request, origins):
                return
            allow = b", ".join(sorted(route.methods))
            raise MethodNotAllowed(f"{route.path} takes {allow.decode()} only", allow=allow)
        headers = request.headers
        bearer, x_api_key = headers.get(b"authorization"), headers.get(b"x-api-key")
        asks_for_more = route.more_with_key and (bearer or x_api_key)
        if route.needs_key or asks_for_more:
            request.principal = self._parts.auth.principal(bearer, x_api_key, headers.get(USER))
            if self.draining and route.needs_key:
                raise stopping()
        if b"content-encoding" in headers and headers[b"content-encoding"].lower() != b"identity":
            raise UnsupportedEncoding("compressed bodies are not taken; send the JSON as it is")

    def dialect(self, request: Request) -> Dialect:
        """How errors are told at this path, or at one that only looks like it."""
        route = self._table.get(request.target) or self._find(request)
        if route is not None:
            return route.dialect
        if request.target.startswith(b"/api/"):
            return self._ollama
        return self._anthropic if request.target.startswith(b"/v1/messages") else self._openai

    def refused(self, request: Request, error: GatewayError) -> None:
        """Take note of a request that ended before `handle`."""
        route = self._table.get(request.target) or self._find(request)
        if route is not None:
            request.endpoint = route.path
        outcome.judge(request, error)
        self._note(request, error.status, counted=route is None or route.counted)

    async def handle(self, request: Request, reply: Reply) -> None:
        """Answer one request, whatever happens on the way. Cancelled when the client goes away."""
        route = self._table.get(request.target) or self._find(request)
        assert route is not None, "check() has let it through"
        request.endpoint = route.path
        if self.draining:
            reply.keep_alive = False
        try:
            if request.method == b"OPTIONS":
                reply.send(200, TEXT, b"", cors.permission(request, route.methods))
                return
            if len(request.body) > json_weight.SMALL:
                await json_weight.examine(request.body, self._parts.rules().limits.max_json_weight)
            await route.handler(request, reply)
        except GatewayError as error:
            outcome.judge(request, error)
            reply.refuse(error)
        except asyncio.CancelledError:
            request.outcome = "client_gone"
            raise
        except Exception:  # noqa: BLE001 a defect must cost one request, not the connection's silence
            _log.exception("request %s failed", request.id)
            if reply.started:
                reply.break_off()
            else:
                reply.refuse(Internal(f"a defect of the gateway; its log has more under {request.id}"))
        finally:
            counted = route.counted and request.method != b"OPTIONS"
            self._note(request, reply.status or CLIENT_GONE_STATUS, counted)

    def _find(self, request: Request) -> Route | None:
        """What the target means where it is not a path of the table as it stands."""
        path = request.path
        route = self._table.get(path)
        return self._model if route is None and path.startswith(MODELS_PATH) else route

    def _all(self) -> Iterable[Route]:
        return (*self._table.values(), self._model)

    def _openai_routes(self) -> Iterable[Route]:
        served, texts = self._openai, Texts(self._openai.models, self._openai.rules)
        yield self._engine("/v1/chat/completions", served, "Chat completion", "Chat", _EVENTS)
        yield self._engine("/v1/completions", served, "Completion", "Completion", _EVENTS)
        yield self._engine("/v1/embeddings", texts, "Embeddings", "Embedding")
        yield self._engine("/v1/responses", Responses(served.models, served.rules), "Response", "Response", _EVENTS)
        for path in ("/v1/score", "/score", "/v1/rerank", "/rerank", "/v2/rerank", "/classify", "/pooling"):
            yield self._engine(path, texts, "vLLM's, where the model is one for it", "Texts")
        tokenizer = Tokenizer(served.models, served.rules)
        yield self._engine("/tokenize", tokenizer, "vLLM's", "Tokenize")
        yield self._engine("/detokenize", tokenizer, "vLLM's", "Detokenize")

    def _anthropic_routes(self) -> Iterable[Route]:
        counter = CountTokens(self._openai.models, self._openai.rules)
        yield self._engine("/v1/messages", self._anthropic, "Message", "Anthropic", _EVENTS)
        yield self._engine("/v1/messages/count_tokens", counter, "A prompt's tokens", "CountTokens")

    def _ollama_routes(self, endpoints: SystemEndpoints) -> Iterable[Route]:
        ollama, models, rules = self._ollama, self._openai.models, self._openai.rules
        yield self._engine("/api/chat", OllamaChat(models, rules), "Chat", "OllamaChat", _LINES)
        yield self._engine("/api/generate", Generate(models, rules), "Prompt", "OllamaGenerate", _LINES)
        yield self._engine("/api/embed", Embed(models, "input", rules), "Embeddings", "OllamaEmbed")
        yield self._engine("/api/embeddings", Embed(models, "prompt", rules), "One embedding", "OllamaEmbeddings")
        yield Route("/api/tags", endpoints.tags, ollama, "All models")
        yield Route("/api/ps", endpoints.ps, ollama, "Models that are served now")
        yield Route("/api/show", endpoints.show, ollama, "One model", _POST, body="OllamaShow")
        yield Route("/api/version", endpoints.version, ollama, "Whose API this follows", needs_key=False)
        answers = ("text/plain", "text/html")
        text = "For Ollama's clients, and a page for browsers"
        yield Route("/", self.pages.root, ollama, text, needs_key=False, answers=answers)

    def _own_routes(self, endpoints: SystemEndpoints) -> Iterable[Route]:
        openai = self._openai
        yield Route("/v1/models", endpoints.models, openai, "All models")
        yield Route("/health", endpoints.health, openai, "Whether an engine is up", needs_key=False)
        yield Route("/livez", endpoints.livez, openai, "Whether the gateway answers", needs_key=False)
        yield Route(
            "/metrics", endpoints.metrics, openai, "Prometheus text", needs_key=False, more_with_key=True,
            answers=("text/plain",),
        )  # fmt: skip
        peer = PeerEndpoint(self._parts.handler.registry, self._parts.handler.admission, lambda: self.draining)
        yield Route("/peer", peer.answer, openai, "What gateways of other boxes ask")
        yield Route("/openapi.json", endpoints.openapi, openai, "This document", needs_key=False)

    def _page_routes(self) -> Iterable[Route]:
        for one in self.pages.endpoints():
            methods = _POST if one.body else _GET
            yield Route(
                one.path, one.handler, self._openai, one.summary, methods, one.needs_key, body=one.body,
                answers=one.answers,
            )  # fmt: skip

    def _engine(
        self, path: str, dialect: Dialect, summary: str, body: str, answers: tuple[str, ...] = ("application/json",)
    ) -> Route:
        handler = self._parts.handler

        def serve(request: Request, reply: Reply) -> Awaitable[None]:
            return handler.serve(request, reply, dialect)

        return Route(path, serve, dialect, summary, _POST, counted=True, body=body, answers=answers)

    def _document(self) -> bytes:
        """The OpenAPI document; asked for rarely, so made anew."""
        return openapi.document(
            __version__,
            (
                openapi.Operation(
                    route.path, method.decode(), route.summary, route.needs_key, route.body, route.answers,
                    route.dialect.name,
                )
                for route in self._all()
                for method in sorted(route.methods)
            ),
        )  # fmt: skip

    def _note(self, record: RequestRecord, status: int, counted: bool) -> None:
        parts = self._parts
        if status != CLIENT_GONE_STATUS:
            self._metrics_of.responded(status)
        if not counted:
            return
        seconds = parts.loop.time() - record.received if record.received else 0.0
        self._metrics_of.finished(record, seconds)
        parts.access_log.add(record, status, seconds)
        if record.trace is not None:
            parts.handler.traces.add(record, status, parts.loop.time())
            self._metrics_of.traced(record, time.time())
        parts.recent.add(record, status, seconds)


def stopping() -> Stopping:
    """What requests are told while the gateway drains: soon another one listens here."""
    return Stopping(f"gateway is stopping; try again in {STOPPING_RETRY_S} s", retry_after=STOPPING_RETRY_S)
