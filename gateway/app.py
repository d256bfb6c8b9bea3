"""Everything built once, and its beginning and end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable

from gateway import __version__
from gateway.access_log import AccessLog
from gateway.admission import Admission
from gateway.auth import Auth
from gateway.backends import Backends
from gateway.dispatch import Dispatch
from gateway.frontend import Connection, Context
from gateway.ledger import Ledger
from gateway.limits import KeyLimits
from gateway.metrics import Metrics
from gateway.proxy import Exchange
from gateway.request_reader import request_ids
from gateway.retry import RetryBudget
from gateway.routes import Parts, Routes
from gateway.scrape import Scrape, Sources
from gateway.settings import Settings
from gateway.sweeper import Sweeper
from gateway.tokens import Tokens

BACKLOG = 2048


class Gateway:
    """One gateway: `start`, then `stop`."""

    def __init__(self, settings: Settings, keys: tuple[bytes, ...], loop: asyncio.AbstractEventLoop) -> None:
        self._settings = settings
        self._loop = loop
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._sweeper = Sweeper(loop)
        self._backends = Backends(settings.engines, settings.polling, settings.routing, self._sweeper, loop)
        self._access_log = AccessLog(sys.stdout.fileno(), settings.log.access)
        self._sweeper.each_tick(self._access_log.flush)
        metrics = Metrics(self._backends.models())
        admission = Admission(settings.admission, self._backends, settings.limits.max_in_flight, loop.time)
        admission.several_keys = len(keys) > 1
        self._sweeper.add(admission)
        budget = RetryBudget(settings.routing.retry_share, settings.routing.retry_floor_per_s)
        dispatch = Dispatch(self._backends, Exchange(settings.limits, self._sweeper, loop), metrics, budget, loop)
        sources = Sources(
            deployment=settings.deployment,
            version=__version__,
            metrics=metrics,
            backends=self._backends,
            admission=admission,
            sweeper=self._sweeper,
            connections=lambda: len(self._connections),
        )
        parts = Parts(
            auth=Auth(keys),
            tokens=Tokens(self._backends, KeyLimits(), admission, dispatch, metrics, Ledger()),
            scrape=Scrape(sources),
            access_log=self._access_log,
            sweeper=self._sweeper,
            loop=loop,
        )
        self._context = Context(Routes(parts), settings.limits, request_ids(), self._sweeper, loop)

    async def start(self) -> tuple[str, int]:
        """Listen and begin to poll; returns the address that is listened on.

        Raises:
            OSError: the address cannot be listened on.
        """
        listen = self._settings.listen
        self._server = await self._loop.create_server(self._accept, listen.host, listen.port, backlog=BACKLOG)
        self._access_log.start()
        self._sweeper.start()
        self._backends.start()
        host, port = self._server.sockets[0].getsockname()[:2]
        return str(host), int(port)

    async def stop(self) -> int:
        """Accept nothing more, let running answers finish within the limit, cut the rest; returns how many."""
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._connections):
            connection.close_when_idle()
        all_gone = asyncio.Event()
        self._sweeper.each_tick(lambda: None if self._connections else all_gone.set())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(all_gone.wait(), self._settings.limits.drain_timeout_s)
        cut = len(self._connections)
        for connection in tuple(self._connections):
            connection.abort()
        self._backends.stop()
        await asyncio.sleep(0)
        self._sweeper.stop()
        self._access_log.stop()
        return cut

    def _accept(self) -> Connection:
        return Connection(self._context, self._connections)


async def serve(settings: Settings, keys: tuple[bytes, ...], say: Callable[[str], None]) -> None:
    """Run until SIGTERM or SIGINT. ``say`` gets a line for people when something begins or ends."""
    loop = asyncio.get_running_loop()
    gateway = Gateway(settings, keys, loop)
    host, port = await gateway.start()
    models = ", ".join(model for engine in settings.engines for model in engine.models)
    say(f"gateway {__version__} listening on http://{host}:{port} (deployment {settings.deployment}, models: {models})")
    asked_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked_to_stop.set)
    await asked_to_stop.wait()
    say(f"stopping: running answers have {settings.limits.drain_timeout_s:g} s to finish")
    cut = await gateway.stop()
    say(f"stopped; {cut} connections were cut" if cut else "stopped; every answer was finished")
