"""The gateway's own small requests to an engine: one question, one whole answer. Not on the data path."""

from __future__ import annotations

import asyncio

from gateway.address import Address
from gateway.errors import How


async def ask(address: Address, path: bytes, body: bytes | None = None) -> tuple[int, bytes]:
    """GET, or POST of a JSON body; returns status and body.

    Raises:
        OSError: no connection, or it broke.
    """
    connection = address.pool.take() or await address.pool.connect(timeout_s=60)
    whole = _Whole()
    host = address.target.host_header
    if body is None:
        data = b"GET %b HTTP/1.1\r\nhost: %b\r\naccept: */*\r\n\r\n" % (path, host)
    else:
        data = b"POST %b HTTP/1.1\r\nhost: %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
            path, host, len(body), body,
        )  # fmt: skip
    try:
        connection.request(whole, data)
        return await whole.done
    finally:
        connection.cancel(whole)


class _Whole:
    """Collects a response."""

    def __init__(self) -> None:
        self.done: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self._status = 0
        self._pieces: list[bytes] = []

    def on_head(self, status: int, content_type: bytes, length: int | None) -> None:  # noqa: ARG002
        self._status = status

    def on_data(self, data: bytes) -> None:
        self._pieces.append(data)

    def on_end(self) -> None:
        if not self.done.done():
            self.done.set_result((self._status, b"".join(self._pieces)))

    def on_lost(self, why: str, how: How) -> None:  # noqa: ARG002
        if not self.done.done():
            self.done.set_exception(ConnectionError(f"it {why}"))
