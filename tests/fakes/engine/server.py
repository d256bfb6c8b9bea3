"""The state that all connections of the fake engine share, and the socket that it listens on."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter, OrderedDict, deque
from pathlib import Path
from typing import Any

from tests.fakes.engine.batch import Batch
from tests.fakes.engine.connection import Connection
from tests.fakes.engine.knobs import Knobs
from tests.fakes.engine.metrics import Meters
from tests.fakes.engine.sleeping import Sleeper
from tests.fakes.engine.steps import SteppedBatch

_KEPT_TRUTHS = 10_000


class Engine:
    """The state that all connections share, and the listening socket."""

    def __init__(self, knobs: Knobs, sock: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        self.knobs = knobs
        self.meters = Meters(knobs)
        self.batch = (SteppedBatch if knobs.step_ms else Batch)(knobs, self.meters, loop)
        self.connections: set[Connection] = set()
        self.accepted = 0
        self.sleeper = Sleeper()
        self._report = b""
        self.paths: Counter[str] = Counter()
        self.bodies: deque[tuple[str, str]] = deque(maxlen=20)  # path and body of the last POSTs
        # By request id: when the request had been read and when each token was written, in perf_counter_ns, the clock
        # that all processes of a machine share. For measuring who measures us: GET /fake/truth.
        self.truth: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._address = sock.getsockname()
        self._socket: socket.socket | None = sock
        self._server: asyncio.Server | None = None
        self._loop = loop

    def report(self) -> bytes:
        """/metrics. While the core is frozen the front end has nothing new to tell."""
        if self.knobs.fault != "stall" or not self._report:
            batch = self.batch
            self._report = self.meters.render(len(batch.running), len(batch.waiting), batch.kv_usage())
        return self._report

    async def drain(self) -> None:
        """As vLLM after SIGTERM: running requests have ``shutdown_timeout_s``, new ones get 500; then it ends."""
        self.knobs.fault = "draining"
        deadline = self._loop.time() + self.knobs.shutdown_timeout_s
        while (self.batch.running or self.batch.waiting) and self._loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        self.stop_listening()

    async def start(self) -> None:
        """Listen, at once or when the slow start is over. Until then the port refuses, as vLLM's does."""
        if self.knobs.fault == "slow-start":
            await asyncio.sleep(self.knobs.slow_start_s)
            self.knobs.fault = "none"
        if self.knobs.fault != "refuse":
            await self.listen()

    async def listen(self) -> None:
        if self._server is None:
            path = self._address if isinstance(self._address, str) else ""
            sock = self._socket or (bind_path(path) if path else bind(self._address[0], self._address[1]))
            self._socket = None
            listen = self._loop.create_unix_server if path else self._loop.create_server
            self._server = await listen(lambda: Connection(self), sock=sock, backlog=2048)

    def keep_truth(self, request_id: bytes, read: int) -> list[int]:
        """The list that the moments of this request's writes go to; `read`: when its last bytes had come."""
        writes: list[int] = []
        if request_id:
            name = request_id.decode("latin-1")
            self.truth[name] = {"read": read, "writes": writes}
            if len(self.truth) > _KEPT_TRUTHS:
                self.truth.popitem(last=False)
        return writes

    def stop_listening(self) -> None:
        """New connections are refused and idle ones closed; running requests go on."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self.connections):
            connection.close_if_idle()

    async def change(self, values: dict[str, Any]) -> None:
        """Turn knobs; ``for_s`` puts the fault back to none after so many seconds."""
        for_s = values.pop("for_s", None)
        self.knobs.change(values)
        if self.knobs.fault == "refuse":
            self.stop_listening()
        else:
            await self.listen()
        if for_s is not None:
            await asyncio.sleep(float(for_s))
            self.knobs.fault = "none"
            await self.listen()


def bind(host: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, port))
    return sock


def bind_path(path: str) -> socket.socket:
    """As vLLM with `--uds`: what lies there from a former run is in nobody's way."""
    Path(path).unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(path)
    return sock
