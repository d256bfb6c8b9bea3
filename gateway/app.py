"""The gateway as a whole: builds its parts, starts and stops them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway import __version__
from gateway.admission.controller import Admission
from gateway.admission.estimates import Estimates
from gateway.api.metrics_port import MetricsPort
from gateway.api.routes import RouteParts, Routes, stopping
from gateway.config.reloader import Reloader
from gateway.config.rules import Rules
from gateway.config.settings import Limits, Settings
from gateway.core.supervisor import Supervisor
from gateway.core.ticker import Ticker
from gateway.engines.registry import EngineRegistry
from gateway.http.body_budget import BodyBudget
from gateway.http.open_files import fitted
from gateway.http.parser import request_ids
from gateway.http.server import ClientConnection, Context
from gateway.http.sockets import see_vanishing
from gateway.keys.auth import Auth
from gateway.keys.buckets import LocalBuckets
from gateway.keys.ledger import Ledger
from gateway.keys.rate_limits import KeyLimits
from gateway.keys.store import KeyStore
from gateway.keys.store_sync import StoreSync
from gateway.keys.uplink import Uplink
from gateway.pages.endpoints import PageParts
from gateway.proxy.dispatch import Dispatch
from gateway.proxy.exchange import Exchange
from gateway.proxy.handler import GenerationHandler
from gateway.proxy.retry_budget import RetryBudget
from gateway.share.sharing import SharedParts, Sharing, Sums
from gateway.telemetry.access_log import AccessLog
from gateway.telemetry.exposition import Exposition, Sources
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.recent import Recent
from gateway.telemetry.span_export import SpanExport
from gateway.telemetry.traces import Traces
from gateway.telemetry.turn_metrics import TurnMetrics
from gateway.turns.card import Around
from gateway.turns.desk import Turns

BACKLOG = 2048
# After the drain's limit: so long have the last words to reach those that read slowly.
LAST_WORDS_S = 1.0
_log = logging.getLogger("gateway")


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a gateway is started with. ``store``: open; None is the key file alone. ``share``: with other gateways."""

    config: Path
    settings: Settings
    keys: tuple[bytes, ...]
    store: KeyStore | None
    share: Sums | None = None


class Gateway:
    """One gateway: `start`, then `stop`."""

    def __init__(self, inputs: Inputs, loop: asyncio.AbstractEventLoop) -> None:
        settings = inputs.settings
        limits = _fitted(settings.limits)
        self._settings = settings
        self._rules = Rules.of(settings)
        self._loop = loop
        self._connections: set[ClientConnection] = set()
        self._server: asyncio.Server | None = None
        self._hurry = False
        self._supervisor = Supervisor()
        self._ticker = Ticker(loop, self._supervisor)
        self._registry = EngineRegistry(settings.engines, settings.polling, settings.routing, self._ticker, loop)
        self._access_log = AccessLog(sys.stdout.fileno(), settings.log.access, self._supervisor)
        self._ticker.each_tick(self._access_log.flush)
        self._metrics = Metrics(self._registry.models())
        self._admission = Admission(settings.admission, self._registry, limits.max_in_flight, loop.time)
        self._ticker.add(self._admission)
        self._exchange = Exchange(settings.limits, self._metrics, self._ticker, loop)
        self._auth = Auth(inputs.keys)
        self._ledger = Ledger()
        tracing = settings.tracing
        self._traces = Traces(tracing is not None, tracing.sample if tracing is not None else 0.0)
        self._span_export: SpanExport | None = None
        if tracing is not None:
            self._span_export = SpanExport(self._traces, tracing, settings.deployment, self._supervisor)
        self._store_sync = self._synced(inputs.store)
        self._uplink = None if inputs.store is None else Uplink(inputs.store.path, self._supervisor)
        self._sharing: Sharing | None = None
        if inputs.share is not None:
            shared = SharedParts(self._admission, self._registry, self._ticker)
            self._sharing = Sharing(settings.share, inputs.share, shared, loop)
        self._turn_metrics = TurnMetrics()
        around = Around(self._registry, self._admission, self._turn_metrics, loop)
        self._turns = Turns(settings, around, self._ticker)
        self._reloader = Reloader(inputs.config, settings, self, self._supervisor, loop)
        self._routes = Routes(self._parts())
        self._ticker.each_tick(self._routes.pages.tick)
        self._bodies = BodyBudget(limits.max_body_bytes_in_flight)
        self._context = Context(self._routes, limits, request_ids(), self._ticker, loop, self._bodies)
        self._metrics_port = MetricsPort(self._context, self._registry)

    def _synced(self, store: KeyStore | None) -> StoreSync | None:
        if store is None:
            self._ticker.each_tick(self._forget_usage)
            return None
        sync = StoreSync(store, self._auth, self._ledger, self._supervisor, self._loop)
        self._ticker.each_tick(sync.tick)
        return sync

    def _parts(self) -> RouteParts:
        sources = Sources(
            deployment=self._settings.deployment,
            version=__version__,
            metrics=self._metrics,
            turns=self._turn_metrics,
            registry=self._registry,
            admission=self._admission,
            ticker=self._ticker,
            connections=lambda: len(self._connections),
            active_keys=self._auth.active,
            ledger_failures=lambda: self._store_sync.failures if self._store_sync is not None else 0,
            sharing=self._sharing,
            uplink=self._uplink,
        )
        limits = KeyLimits(LocalBuckets() if self._sharing is None else self._sharing.buckets, self._loop.time)
        routing = self._settings.routing
        budget = RetryBudget(routing.retry_share, routing.retry_floor_per_s)
        dispatch = Dispatch(self._registry, self._exchange, self._metrics, budget, self._loop)
        recent = Recent()
        pages = PageParts(
            lambda: self._settings, self._registry, self._admission, limits, self._auth, recent,
            self._settings.store, self._supervisor, self._loop, self._turns,
        )  # fmt: skip
        return RouteParts(
            auth=self._auth,
            handler=GenerationHandler(
                self._registry,
                Estimates(),
                limits,
                self._admission,
                dispatch,
                self._metrics,
                self._ledger,
                self._turns,
                self._ticker,
                self._traces,
            ),
            exposition=Exposition(sources),
            access_log=self._access_log,
            ticker=self._ticker,
            loop=self._loop,
            rules=lambda: self._rules,
            recent=recent,
            pages=pages,
        )

    async def start(self) -> tuple[str, int]:
        """Listen and begin to poll; returns the address that is listened on.

        Raises:
            OSError: the address cannot be listened on.
        """
        listen = self._settings.listen
        self._server = await self._loop.create_server(self._accept, listen.host, listen.port, backlog=BACKLOG)
        for sock in self._server.sockets:
            see_vanishing(sock)
        if self._settings.metrics_listen is not None:
            await self._metrics_port.start(self._settings.metrics_listen)
        self._access_log.start()
        self._ticker.start()
        self._registry.start()
        self._turns.start()
        for part in (self._store_sync, self._uplink, self._sharing, self._span_export):
            if part is not None:
                part.start()
        self._reloader.start()
        host, port = self._server.sockets[0].getsockname()[:2]
        return str(host), int(port)

    @property
    def metrics_address(self) -> str:
        """Where everything is told to everybody; empty where nowhere."""
        return self._metrics_port.address

    @property
    def drain_timeout_s(self) -> float:
        """Of the settings as they are now."""
        return self._settings.limits.drain_timeout_s

    def reload(self) -> None:
        """Read settings and key file now."""
        self._reloader.ask()

    def use_settings(self, settings: Settings) -> None:
        """Of `reloader.Reloadable`."""
        self._settings = settings
        limits = _fitted(settings.limits)
        self._rules = Rules.of(settings)
        self._metrics.know(model for engine in settings.engines for model in engine.models)
        self._registry.change(settings.engines, settings.polling)
        self._turns.change(settings)
        self._admission.change(settings.admission, limits.max_in_flight)
        self._exchange.use(settings.limits)
        self._bodies.limit = settings.limits.max_body_bytes_in_flight
        self._context.limits = limits
        self._access_log.enabled = settings.log.access
        self._admission.pump()

    def use_keys(self, keys: tuple[bytes, ...]) -> None:
        """Of `reloader.Reloadable`."""
        self._auth.use_file(keys)

    def reloaded(self, result: str) -> None:
        """Of `reloader.Reloadable`."""
        self._metrics.reloads[result] += 1

    def hurry(self) -> None:
        """Wait no longer for answers to end."""
        self._hurry = True

    async def stop(self) -> int:
        """Let nobody in any more, let running answers finish within the limit, tell the rest; returns how many.

        The port stays open meanwhile, so that /health can say that this gateway drains and /metrics can be scraped.
        """
        self._reloader.stop()
        self._routes.draining = True
        self._admission.close(stopping)
        for connection in tuple(self._connections):
            connection.close_when_idle()
        await self._until(self._quiet, self.drain_timeout_s)
        if self._server is not None:
            self._server.close()
        late = [connection for connection in self._connections if connection.busy]
        for connection in late:
            connection.end(stopping())
        self._hurry = False
        await self._until(lambda: self._quiet() and not any(map(self._connections.__contains__, late)), LAST_WORDS_S)
        await self._end()
        return len(late)

    async def _end(self) -> None:
        for connection in tuple(self._connections):
            connection.abort()
        await self._until(lambda: not self._admission.in_flight, LAST_WORDS_S)  # what was cut comes to the ledger
        steps = [
            self._metrics_port.stop,
            self._turns.stop,
            self._registry.stop,
            self._ticker.stop,
            *(
                part.stop
                for part in (self._sharing, self._store_sync, self._uplink, self._span_export)
                if part is not None
            ),
        ]
        for step in (*steps, self._access_log.stop):
            with self._supervisor.guard("shutdown"):
                step()
            await asyncio.sleep(0)

    def _quiet(self) -> bool:
        return not self._admission.in_flight and not any(connection.busy for connection in self._connections)

    async def _until(self, so: Callable[[], bool], limit_s: float) -> None:
        """Wait, looking ten times a second; until the limit, or until `hurry`."""
        if so():
            return
        reached = asyncio.Event()
        self._ticker.each_tick(lambda: reached.set() if so() or self._hurry else None)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(reached.wait(), limit_s)

    def _forget_usage(self) -> None:
        """Nothing is kept without a store."""
        self._ledger.take()
        self._auth.used.clear()

    def _accept(self) -> ClientConnection:
        return ClientConnection(self._context, self._connections)


def _fitted(limits: Limits) -> Limits:
    fitting, told = fitted(limits)
    if told:
        _log.warning(told)
    return fitting
