"""Endpoints that need no engine: models, health, metrics, OpenAPI document."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import quote, unquote

import orjson
from prometheus_client import CONTENT_TYPE_LATEST
from prometheus_client.openmetrics import exposition as open_metrics

from gateway.api import model_cards
from gateway.config.rules import CurrentRules
from gateway.config.settings import EngineSettings
from gateway.core.errors import UnknownModel
from gateway.core.supervisor import Supervisor
from gateway.dialects import ollama_models
from gateway.dialects.fields import read_object
from gateway.dialects.ollama import Ollama
from gateway.engines.health_report import Health
from gateway.http.messages import JSON, Request
from gateway.http.reply import Reply
from gateway.proxy.handler import GenerationHandler
from gateway.telemetry.exposition import Exposition

MODELS_PATH = b"/v1/models/"
_ADDRESS = re.compile(r"(\d{1,3}(\.\d{1,3}){3}|\[[0-9A-Fa-f:.]+(%\w+)?\])(:\d{1,5})?")


class SystemEndpoints:
    """One method for each."""

    def __init__(
        self,
        handler: GenerationHandler,
        exposition: Exposition,
        document: Callable[[], bytes],
        draining: Callable[[], bool],
        supervisor: Supervisor,
        rules: CurrentRules,
    ) -> None:
        self._rules = rules
        self._draining = draining
        self._supervisor = supervisor
        self._registry = handler.registry
        self._turns = handler.turns
        self._traces = handler.traces
        self._exposition = exposition
        self._document = document
        self._started = int(time.time())

    async def models(self, request: Request, reply: Reply) -> None:
        """All cards, as OpenAI's and as Anthropic's clients read them."""
        cards = [self._card(request, model, engine) for model, engine in self._models_of(request).items()]
        paging = {"has_more": False, "first_id": cards[0]["id"], "last_id": cards[-1]["id"]} if cards else {}
        reply.send(200, JSON, orjson.dumps({"object": "list", "data": cards} | paging))

    async def model(self, request: Request, reply: Reply) -> None:
        """One card. The name is compared as it came and as clients quote it; nothing is decoded."""
        asked = request.path.removeprefix(MODELS_PATH)
        known = self._models_of(request)
        for model, engine in known.items():
            if asked in (model.encode(), quote(model).encode(), quote(model, safe="").encode()):
                reply.send(200, JSON, orjson.dumps(self._card(request, model, engine)))
                return
        meant = self._rules().resolve(unquote(asked.decode("latin-1")), known)  # only looked up, never a path
        if meant in known:
            reply.send(200, JSON, orjson.dumps(self._card(request, meant, known[meant])))
            return
        names = ", ".join(f"'{name}'" for name in known)
        raise UnknownModel(f"no model '{asked[:200].decode('latin-1')}' here; there are {names}", param="model")

    async def version(self, request: Request, reply: Reply) -> None:  # noqa: ARG002
        reply.send(200, JSON, orjson.dumps({"version": ollama_models.OLLAMA_VERSION}))

    async def tags(self, request: Request, reply: Reply) -> None:
        reply.send(200, JSON, orjson.dumps(ollama_models.tags(self._models_of(request), self._since())))

    async def ps(self, request: Request, reply: Reply) -> None:
        up = {model: engine for model, engine in self._models_of(request).items() if self._registry.serving(model)}
        reply.send(
            200, JSON, orjson.dumps(ollama_models.running(up, {model: self._turns.leaves(model) for model in up}))
        )

    async def show(self, request: Request, reply: Reply) -> None:
        known = self._models_of(request)
        asked, model, _ = Ollama(self._registry.models, self._rules).model_of(
            read_object(request.body, '{"model": ...}')
        )
        if model not in known:
            names = ", ".join(f"'{name}'" for name in known)
            raise UnknownModel(f"no model '{asked[:200]}' here; there are {names}", param="model")
        reply.send(200, JSON, orjson.dumps(ollama_models.show(model, known[model], self._since())))

    async def health(self, request: Request, reply: Reply) -> None:
        healths = self._registry.health()
        draining = self._draining()
        models = self._turns.states()
        # While a card is switched none of its engines may be up, and whoever asks is served all the same.
        served = any(health.state == "up" and not health.overflow for health in healths)
        good = (served or any(one["state"] != "failed" for one in models.values())) and not draining
        status = "draining" if draining else "ok" if good else "no engine is up"
        entries = [_health_entry(health, self._shown_all(request)) for health in healths]
        body: dict[str, object] = {"status": status, "engines": entries, "tasks": self._supervisor.report()}
        if models:
            body["models"] = models
        reply.send(200 if good else 503, JSON, orjson.dumps(body), b"" if good else b"retry-after: 2\r\n")

    async def livez(self, request: Request, reply: Reply) -> None:  # noqa: ARG002
        reply.send(200, JSON, b'{"status":"ok"}')

    async def metrics(self, request: Request, reply: Reply) -> None:
        everything = self._shown_all(request)
        if self._traces.on and b"application/openmetrics-text" in request.headers.get(b"accept", b""):
            text = self._exposition.text(everything, with_exemplars=True)
            reply.send(200, open_metrics.CONTENT_TYPE_LATEST.encode(), text)
        else:
            reply.send(200, CONTENT_TYPE_LATEST.encode(), self._exposition.text(everything))

    async def openapi(self, request: Request, reply: Reply) -> None:  # noqa: ARG002
        reply.send(200, JSON, self._document())

    def _shown_all(self, request: Request) -> bool:
        """Whether this one may see keys and addresses."""
        who = request.principal
        return who.operator or who.name in self._rules().operators

    def _models_of(self, request: Request) -> dict[str, EngineSettings]:
        """The models that this key may use."""
        mine = request.principal.models
        known = self._registry.models()
        return known if mine is None else {model: engine for model, engine in known.items() if model in mine}

    def _card(self, request: Request, model: str, engine: EngineSettings) -> dict[str, object]:
        anthropics = b"anthropic-version" in request.headers
        card = model_cards.anthropic if anthropics else model_cards.openai
        return card(model, engine, self._started, self._since())

    def _since(self) -> str:
        """When the gateway started; when a model was made is not known here."""
        return datetime.fromtimestamp(self._started, UTC).isoformat()


def _health_entry(health: Health, with_addresses: bool) -> dict[str, object]:
    entry: dict[str, object] = {
        "name": health.name,
        "state": health.state,
        "since": _time(health.since),
        "addresses": {"up": health.up, "known": health.replicas},
        "models": health.models,
    }
    if health.stuck:
        entry["structured"] = "stuck"
        entry["stuck"] = [
            {"since": _time(since)} | ({"address": label} if with_addresses else {}) for label, since in health.stuck
        ]
    reason = health.reason if with_addresses else _ADDRESS.sub("an address", health.reason)
    return entry | ({"reason": reason} if reason else {})


def _time(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).isoformat(timespec="seconds")
