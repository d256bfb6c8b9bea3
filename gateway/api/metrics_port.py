"""The second listener, for operators: /metrics with keys and addresses, and /health with reasons.

It asks for no key, so it has to be where only the watchers are: the Compose stack does not publish its port, and as a
process the gateway has a socket in a folder that only its owner enters.

It also hands on what an engine says of itself, since a Prometheus reads no sockets, behind which engines may be.
Nothing else of an engine can be reached by it.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Coroutine
from typing import Any
from urllib.parse import unquote

from prometheus_client import CONTENT_TYPE_LATEST

from gateway.config.listen import MetricsListen
from gateway.core.call import Principal
from gateway.core.errors import EngineBroken, EngineSilent, GatewayError, MethodNotAllowed, NotFound
from gateway.engines.query import ask
from gateway.engines.registry import EngineRegistry
from gateway.http.messages import Request
from gateway.http.reply import Errors, Reply, Surface
from gateway.http.server import ClientConnection, Context

PATHS = frozenset({b"/metrics", b"/health", b"/livez"})
_ENGINES, _METRICS = b"/engines/", b"/metrics"
# Less than Prometheus waits (10 s), so that it hears why.
ENGINE_S = 8.0
# Who comes here may see what a key would show.
WATCHER = Principal("watcher", operator=True)


class CannotListen(OSError):
    """The address of `metrics_listen` cannot be listened on."""


class MetricsPort:
    """The same pages by another door. Of `server.Surface`.

    ``address``: its URL once it listens; empty before, and where there is no such listener.
    """

    def __init__(self, context: Context, registry: EngineRegistry) -> None:
        self._inner: Surface = context.surface
        self._registry = registry
        self._context = dataclasses.replace(context, surface=self)
        self._connections: set[ClientConnection] = set()
        self._server: asyncio.Server | None = None
        self.address = ""

    async def start(self, listen: MetricsListen) -> None:
        """Listen.

        Raises:
            CannotListen
        """
        try:
            if listen.socket:
                self._server = await self._context.loop.create_unix_server(self._accept, listen.socket)
                self.address = f"unix:{listen.socket}"
                return
            self._server = await self._context.loop.create_server(self._accept, listen.host, listen.port)
        except OSError as error:
            raise CannotListen(error.errno, error.strerror or str(error)) from None
        host, port = self._server.sockets[0].getsockname()[:2]
        self.address = f"http://{host}:{port}"

    def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._connections):
            connection.abort()

    def check(self, request: Request) -> None:
        if _engine_of(request) is not None:
            if request.method not in (b"GET", b"HEAD"):
                raise MethodNotAllowed("an engine's metrics take GET only", allow=b"GET, HEAD")
            return
        if request.path not in PATHS:
            raise NotFound("only /metrics, /health, /livez and /engines/NAME/metrics are served at this port")
        self._inner.check(request)
        request.principal = WATCHER

    def handle(self, request: Request, reply: Reply) -> Coroutine[Any, Any, None]:
        name = _engine_of(request)
        return self._inner.handle(request, reply) if name is None else self._hand_on(name, reply)

    async def _hand_on(self, name: str, reply: Reply) -> None:
        try:
            reply.send(200, CONTENT_TYPE_LATEST.encode(), await self._engine_metrics(name))
        except GatewayError as error:
            reply.refuse(error)

    async def _engine_metrics(self, name: str) -> bytes:
        found = [replica for replica in self._registry.replicas() if replica.engine.name == name]
        if len(found) != 1:
            names = ", ".join(f"'{engine.name}'" for engine in self._registry.engines)
            several = f"'{name}' has {len(found)} addresses now, ask each itself" if found else f"there are {names}"
            raise NotFound(f"no engine with one address is called '{name[:200]}'; {several}")
        try:
            async with asyncio.timeout(ENGINE_S):
                status, body = await ask(found[0], _METRICS)
        except TimeoutError:
            raise EngineSilent(f"engine '{name}' says nothing of itself within {ENGINE_S:g} s") from None
        except OSError as error:
            raise EngineBroken(f"engine '{name}' cannot be asked: {error.strerror or error}") from None
        if status != 200:
            raise EngineBroken(f"engine '{name}' answers {status} at /metrics")
        return body

    def dialect(self, request: Request) -> Errors:
        return self._inner.dialect(request)

    def refused(self, request: Request, error: GatewayError) -> None:
        self._inner.refused(request, error)

    def _accept(self) -> ClientConnection:
        return ClientConnection(self._context, self._connections)


def _engine_of(request: Request) -> str | None:
    """The engine whose metrics are asked for; None where it is something else."""
    path = request.path
    if not path.startswith(_ENGINES) or not path.endswith(_METRICS):
        return None
    return unquote(path[len(_ENGINES) : -len(_METRICS)].decode("latin-1"))
