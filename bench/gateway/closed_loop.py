"""One user of a bench: one connection, one streaming request after the other, and what it sees of the answers."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import cast

_TOKEN = b'"text":"'
_DONE = b"data: [DONE]"
_FAILED = (b"HTTP/1.1 4", b"HTTP/1.1 5", b'data: {"error"')


@dataclass
class Seen:
    """What all users of a cell saw between ``since`` and ``until`` (time.monotonic). ``first``: seconds."""

    since: float
    until: float
    tokens: int = 0
    answers: int = 0
    failed: int = 0
    first: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return self.until - self.since

    def counts(self, now: float) -> bool:
        return self.since <= now < self.until


class Loop(asyncio.Protocol):
    """Sends its bodies in turn until it is closed."""

    def __init__(self, bodies: list[bytes], key: str, seen: Seen) -> None:
        self._requests = [
            (
                f"POST /v1/completions HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            ).encode()
            + body
            for body in bodies
        ]
        self._seen = seen
        self._transport: asyncio.Transport
        self._number = 0
        self._asked = 0.0
        self._first = False
        self._tail = b""
        self._closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def ask(self) -> None:
        self._asked, self._first, self._tail = time.monotonic(), False, b""
        self._transport.write(self._requests[self._number % len(self._requests)])
        self._number += 1

    def close(self) -> None:
        self._closed = True
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        now, seen = time.monotonic(), self._seen
        counts = seen.counts(now)
        tokens = data.count(_TOKEN)
        if tokens and not self._first:
            self._first = True
            if counts:
                seen.first.append(now - self._asked)
        if counts:
            seen.tokens += tokens
        last = self._tail + data
        self._tail = last[-16:]
        if any(mark in data for mark in _FAILED):
            seen.failed += 1
            self._transport.abort()
        elif _DONE in last and last.endswith(b"0\r\n\r\n"):
            if counts:
                seen.answers += 1
            self.ask()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if not self._closed and self._seen.counts(time.monotonic()):
            self._seen.failed += 1
