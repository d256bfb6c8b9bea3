"""The gateway's own small requests to an engine, such as health checks. Not on the data path."""

from __future__ import annotations

import asyncio

import orjson

from gateway.core.errors import How
from gateway.engines.replica import Replica
from gateway.http.client import EngineConnection, Head

NO_PLACE = b'"code":"no_place"'


async def ask(replica: Replica, path: bytes, body: bytes | None = None) -> tuple[int, bytes]:
    """GET, or POST of a JSON body; returns status and body. A kept connection that breaks is replaced by a new one.

    Raises:
        NoConnection: none could be made; an OSError with the number of the one behind it.
        OSError: it broke.
    """
    host, extra = replica.target.host_header, replica.target.extra
    if body is None:
        data = b"GET %b HTTP/1.1\r\nhost: %b\r\n%baccept: */*\r\n\r\n" % (path, host, extra)
    else:
        data = b"POST %b HTTP/1.1\r\nhost: %b\r\n%bcontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
            path, host, extra, len(body), body,
        )  # fmt: skip
    kept = replica.pool.take()
    if kept is not None:
        try:
            return await _ask(kept, data)
        except ConnectionError:
            pass
    try:
        connection = await replica.pool.connect(timeout_s=60)
    except OSError as error:
        raise NoConnection(error.errno, error.strerror or str(error)) from error
    return await _ask(connection, data)


async def one_token(replica: Replica) -> str:
    """Have it bring one token; empty if it does, else what is wrong."""
    model = sorted(replica.listed)[0] if replica.listed else replica.engine.models[0]
    generate = orjson.dumps({"model": model, "prompt": "1", "max_tokens": 1, "temperature": 0})
    status, answer = await ask(replica, b"/v1/completions", generate)
    if replica.far and status == 503 and NO_PLACE in answer:
        return ""  # all its places bring tokens to others, which the far gateway watches
    if 400 <= status < 500:  # an engine for embeddings has no such path
        status, _ = await ask(replica, b"/v1/embeddings", orjson.dumps({"model": model, "input": "1"}))
    # Another refusal of the question itself says nothing against the engine.
    return f"it answers {status} to a request for one token" if status >= 500 else ""


async def _ask(connection: EngineConnection, data: bytes) -> tuple[int, bytes]:
    whole = _Whole()
    try:
        connection.request(whole, data, asyncio.get_running_loop().time())
        return await whole.done
    finally:
        connection.cancel(whole)


class NoConnection(OSError):
    """Nothing could be sent."""


class _Whole:
    """Collects a response."""

    def __init__(self) -> None:
        self.done: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self._status = 0
        self._pieces: list[bytes] = []

    def on_head(self, head: Head) -> None:
        self._status = head.status

    def on_data(self, data: bytes) -> None:
        self._pieces.append(data)

    def on_end(self) -> None:
        if not self.done.done():
            self.done.set_result((self._status, b"".join(self._pieces)))

    def on_lost(self, why: str, how: How) -> None:  # noqa: ARG002
        if not self.done.done():
            self.done.set_exception(ConnectionError(f"it {why}"))
