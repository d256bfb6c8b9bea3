"""Resolves host names to addresses, again and again, so that replicas may come and go."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from functools import partial

from gateway.config.settings import EngineSettings
from gateway.core.supervisor import Supervisor


class Resolver:
    """``found`` gets all hosts behind an engine's name; ``unknown`` is told why there are none."""

    def __init__(
        self,
        interval_s: float,
        found: Callable[[EngineSettings, set[str]], None],
        unknown: Callable[[EngineSettings, str], None],
        supervisor: Supervisor,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.interval_s = interval_s
        self._found = found
        self._unknown = unknown
        self._supervisor = supervisor
        self._loop = loop
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def watch(self, engine: EngineSettings) -> None:
        """Begin to look it up; a socket is where it is."""
        if engine.socket_path:
            self._found(engine, {engine.socket_path})
            return
        self._tasks[engine.name] = self._supervisor.task("resolver", partial(self._keep_looking, engine), self._loop)

    def leave(self, engine: EngineSettings) -> None:
        """Look it up no more."""
        task = self._tasks.pop(engine.name, None)
        if task is not None:
            task.cancel()

    def stop(self) -> None:
        for task in self._tasks.values():
            task.cancel()

    async def _keep_looking(self, engine: EngineSettings) -> None:
        while True:
            try:
                infos = await self._loop.getaddrinfo(engine.host, engine.port, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError) as error:
                # A UnicodeError where a label is over 63 characters.
                reason = error.strerror if isinstance(error, OSError) else "not a host name"
                # Known addresses stay: polling judges them, and it checks that the model is still served there.
                self._unknown(engine, f"host name '{engine.host}' is not known ({reason})")
            else:
                self._found(engine, {str(info[4][0]) for info in infos})
            await asyncio.sleep(self.interval_s)
