"""A listener of its own for whoever watches the gateway: /metrics with keys and addresses, and /health with reasons.

It asks for no key, so it has to be where only the watchers are: the Compose stack does not publish its port, and as a
process the gateway has a socket in a folder that only its owner enters.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Coroutine
from typing import Any

from gateway.call import Principal
from gateway.errors import GatewayError, NotFound
from gateway.frontend import Connection, Context
from gateway.http1 import Request
from gateway.reply import Errors, Reply, Surface
from gateway.settings import MetricsListen

PATHS = frozenset({b"/metrics", b"/health", b"/livez"})
# Who comes here may see what a key would show.
WATCHER = Principal("watcher", operator=True)


class CannotListen(OSError):
    """The address of `metrics_listen` cannot be listened on."""


class MetricsPort:
    """The same pages by another door. Of `frontend.Surface`.

    ``address``: its URL once it listens; empty before, and where there is no such listener.
    """

    def __init__(self, context: Context) -> None:
        self._inner: Surface = context.surface
        self._context = dataclasses.replace(context, surface=self)
        self._connections: set[Connection] = set()
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
        if request.path not in PATHS:
            raise NotFound("only /metrics, /health and /livez are served at this port")
        self._inner.check(request)
        request.principal = WATCHER

    def handle(self, request: Request, reply: Reply) -> Coroutine[Any, Any, None]:
        return self._inner.handle(request, reply)

    def dialect(self, request: Request) -> Errors:
        return self._inner.dialect(request)

    def refused(self, request: Request, error: GatewayError) -> None:
        self._inner.refused(request, error)

    def _accept(self) -> Connection:
        return Connection(self._context, self._connections)
