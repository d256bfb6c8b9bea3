"""The paths of the pages: three pages, their files, and the JSON that they read with the key in its header."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from gateway.admission.controller import Admission
from gateway.config.settings import Settings
from gateway.core.call import Principal
from gateway.core.errors import AdminsOnly, BadRequest, GatewayError, NotFound, OperatorsOnly, Overloaded
from gateway.core.supervisor import Supervisor
from gateway.dialects import ollama_models
from gateway.engines.registry import EngineRegistry
from gateway.http.messages import JSON, Request
from gateway.http.reply import Reply
from gateway.keys.auth import Auth
from gateway.keys.buckets import LocalBuckets
from gateway.keys.rate_limits import KeyLimits
from gateway.keys.stored import StoreError
from gateway.pages import address, assets, card_memory, front, key_changes, load_report, model_deeds, operator, person
from gateway.pages.desk import Desk, DeskWords
from gateway.pages.operator import Operator
from gateway.pages.person import Person
from gateway.pages.status import StatusBoard
from gateway.pages.store_desk import StoreDesk, StoreUnusable
from gateway.telemetry.recent import Recent
from gateway.turns.desk import Turns

# Of the JSON that a key is needed for; a page asks every five seconds.
ASKED_A_MINUTE = 60
_SAVED = assets.NOT_KEPT + b"content-disposition: attachment\r\n"
_PLAIN = b"text/plain; charset=utf-8"
_VARY = b"vary: accept\r\n"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A path of the pages. ``body``, ``answers``: for the OpenAPI document; what has a body is a POST."""

    path: str
    handler: Callable[[Request, Reply], Awaitable[None]]
    summary: str
    needs_key: bool = False
    body: str = ""
    answers: tuple[str, ...] = ("application/json",)


@dataclass(frozen=True, slots=True)
class PageParts:
    """What the pages look at, built once in app.py. ``store``: where it is; None where there is none."""

    settings: Callable[[], Settings]
    registry: EngineRegistry
    admission: Admission
    limits: KeyLimits
    auth: Auth
    recent: Recent
    store: Path | None
    supervisor: Supervisor
    loop: asyncio.AbstractEventLoop
    turns: Turns


class Pages:
    """Answers at all of them."""

    def __init__(self, parts: PageParts, draining: Callable[[], bool]) -> None:
        self._parts = parts
        self._files = assets.load()
        self._front = self._files.pop("front.html").body.decode()
        self._shells = {path: self._files.pop(f"{path[1:]}.html") for path in ("/me", "/admin")}
        self._board = StatusBoard(parts.registry, parts.admission, draining, parts.loop.time)
        self._person = Person(parts.limits, parts.admission, parts.recent)
        self._operator = Operator(parts.registry, parts.admission)
        self._buckets = LocalBuckets()
        store = parts.store
        self._desk = None if store is None else StoreDesk(store, parts.supervisor, parts.loop)
        words = DeskWords("report_desk", "the reports of load tests", load_report.ReportUnusable)
        self._reports = Desk(words, parts.supervisor, parts.loop)
        self.tick = self._board.token_rate.tick

    def endpoints(self) -> Iterator[Endpoint]:
        """All but `/`, which is Ollama's too."""
        for path, shell in self._shells.items():
            yield Endpoint(path, shell.serve, "A page for people", answers=("text/html",))
        for name, file in self._files.items():
            kind = file.content_type.decode().partition(";")[0]
            yield Endpoint(assets.PREFIX + name, file.serve, "A file of the pages", answers=(kind,))
        yield Endpoint("/ui/v1/status", self.status, "What is served and how it is")
        yield Endpoint("/ui/v1/me", self.me, "A key's own limits, usage and last requests", needs_key=True)
        yield Endpoint("/ui/v1/admin", self.admin, "Engines, queue and keys, for operators", needs_key=True)
        yield Endpoint("/ui/v1/report", self.report, "The last load test, for operators", True, answers=("text/html",))
        yield Endpoint("/ui/v1/models", self.models, "Models that take turns, for operators", needs_key=True)
        yield Endpoint("/ui/v1/models/do", self.turn, "Load, unload or pin one, for admins", True, "ModelDeed")
        yield Endpoint("/ui/v1/keys", self.keys, "Change a key, for admins", needs_key=True, body="KeyChange")

    async def root(self, request: Request, reply: Reply) -> None:
        """The page for browsers; what Ollama's clients look for, for all others."""
        if b"text/html" not in request.headers.get(b"accept", b"").lower():
            reply.send(200, _PLAIN, ollama_models.RUNNING, _VARY)
            return
        settings = self._parts.settings()
        shown = address.shown(request.headers.get(b"host", b""), settings.public_urls, settings.listen)
        page = front.page(self._front, self._board.now(), shown)
        reply.send(200, assets.HTML, page.encode(), assets.NOT_KEPT + _VARY)

    async def status(self, request: Request, reply: Reply) -> None:  # noqa: ARG002
        """For everybody: the same that /health and /metrics tell without a key."""
        _send(reply, self._board.now().as_json())

    async def me(self, request: Request, reply: Reply) -> None:
        """One's own key."""
        who = self._let_in(request, reply)
        about = self._person.about(who)
        about["usage"], about["usage_text"] = None, "this gateway keeps no usage: gateway.yaml names no store"
        if self._desk is not None:
            try:
                about["usage"] = await self._desk.ask(lambda store: person.usage(store, who.name))
                about["usage_text"] = ""
            except GatewayError as error:  # the rest is worth seeing all the same
                about["usage_text"] = error.message
        _send(reply, about)

    async def admin(self, request: Request, reply: Reply) -> None:
        """Everything, for keys that `operators` or `admins` names."""
        who, settings = self._operator_of(request, reply), self._parts.settings()
        stored: list[operator.Entry] = []
        told = "there are keys of the key file only: gateway.yaml names no store"
        if self._desk is not None:
            try:
                stored, told = await self._desk.ask(operator.keys_of_store), ""
            except GatewayError as error:
                told = error.message
        body: dict[str, object] = {
            "version": operator.VERSION,
            "name": who.name,
            "status": self._board.now().as_json(),
            "engines": self._operator.engines(),
            "queue": self._operator.queue(),
            "memory": card_memory.entries(settings.memory, self._parts.registry.replicas()),
            "keys": stored + operator.keys_of_file(self._parts.auth.active(), stored),
            "keys_text": told,
            **await self._load_test(settings),
            "may_change": self._desk is not None and who.name in settings.admins,
        }
        _send(reply, body)

    async def report(self, request: Request, reply: Reply) -> None:
        """The last load test's report as a page to be saved, for keys that `operators` or `admins` names."""
        self._operator_of(request, reply)
        folder = self._parts.settings().reports
        if folder is None:
            raise NotFound("gateway.yaml names no folder of reports")
        page = await self._reports.ask(lambda: load_report.page(folder))
        reply.extra = _SAVED
        reply.send(200, assets.HTML, page)

    async def _load_test(self, settings: Settings) -> dict[str, object]:
        """Its main figures, and why there are none where there ought to be some."""
        folder = settings.reports
        if folder is None:
            return {"report": None, "report_text": ""}
        try:
            return {"report": await self._reports.ask(lambda: load_report.last(folder)), "report_text": ""}
        except GatewayError as error:  # the rest is worth seeing all the same
            return {"report": None, "report_text": error.message}

    async def models(self, request: Request, reply: Reply) -> None:
        """The cards whose models take turns, for keys that `operators` or `admins` names."""
        self._operator_of(request, reply)
        _send(reply, {"version": operator.VERSION, "cards": self._parts.turns.report()})

    async def turn(self, request: Request, reply: Reply) -> None:
        """Load, unload, pin or unpin a model, for keys that `admins` names."""
        who = self._let_in(request, reply)
        if who.name not in self._parts.settings().admins:
            raise AdminsOnly(f"key '{who.name}' may not load models; `gateway.admins` of the profile names who may")
        deed = model_deeds.read(request.body)
        state = self._parts.turns.do(deed.do, deed.name)
        _send(reply, {"version": operator.VERSION, "name": deed.name, "did": deed.do, "state": state})

    async def keys(self, request: Request, reply: Reply) -> None:
        """Make, change, rotate or revoke a key, for keys that `admins` names."""
        who = self._let_in(request, reply)
        if who.name not in self._parts.settings().admins:
            raise AdminsOnly(f"key '{who.name}' may not change keys; `gateway.admins` of the profile names who may")
        if self._desk is None:
            raise StoreUnusable("this gateway has no key store: gateway.yaml names none")
        change = key_changes.read(request.body)
        try:
            done = await self._desk.ask(lambda store: change.apply(store, who.name))
        except StoreError as error:
            raise BadRequest(str(error), param="name") from None
        _send(reply, {"version": operator.VERSION} | done)

    def _operator_of(self, request: Request, reply: Reply) -> Principal:
        """Raises: OperatorsOnly, Overloaded"""
        who, settings = self._let_in(request, reply), self._parts.settings()
        if not (who.operator or who.name in (*settings.operators, *settings.admins)):
            raise OperatorsOnly(f"key '{who.name}' is no operator; `gateway.operators` of the profile names them")
        return who

    def _let_in(self, request: Request, reply: Reply) -> Principal:
        """Whose key it is, if it does not ask too often.

        Raises:
            Overloaded
        """
        who = request.principal
        reply.extra = assets.NOT_KEPT
        wait = self._buckets.take(who.name, 1, ASKED_A_MINUTE, self._parts.loop.time())
        if wait:
            seconds = int(wait) + 1
            raise Overloaded(
                f"a key may look {ASKED_A_MINUTE} times a minute; try again in {seconds} s", retry_after=seconds
            )
        return who


def _send(reply: Reply, body: dict[str, object]) -> None:
    reply.extra = assets.NOT_KEPT
    reply.send(200, JSON, orjson.dumps(body))
