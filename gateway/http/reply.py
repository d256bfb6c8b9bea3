"""The reply to one client: written whole, piece by piece, or broken off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from gateway.core.errors import GatewayError, MethodNotAllowed
from gateway.http.messages import JSON, LAST_CHUNK, Request, chunk, response_head

_AUTHENTICATE = b"www-authenticate: Bearer\r\n"
_STREAM_HEADERS = b"cache-control: no-cache\r\nx-accel-buffering: no\r\n"


class Source(Protocol):
    """Where the pieces come from; told to wait while the client does not read."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def stop(self, error: GatewayError) -> None:
        """End now, and tell the client why."""


class Errors(Protocol):
    """How the client's API tells an error."""

    def error(self, error: GatewayError) -> bytes: ...


class Surface(Protocol):
    """The requests' destination."""

    def check(self, request: Request) -> None:
        """Judge a head before its body is read; a GatewayError refuses."""

    def handle(self, request: Request, reply: Reply) -> Coroutine[Any, Any, None]:
        """Answer. Cancelled when the client goes away."""

    def dialect(self, request: Request) -> Errors:
        """How the client's API tells an error."""

    def refused(self, request: Request, error: GatewayError) -> None:
        """Take note of a request that never came to `handle`."""


class Early(Protocol):
    """How an end is told in an answer that has begun with 200 before anybody knew what it would be."""

    def failure(self, error: GatewayError) -> bytes:
        """The gateway's own error."""

    def refusal(self, body: bytes) -> bytes:
        """The body of an engine's refusal."""


class Reply:
    """Writes to the client. After the client has gone every method does nothing, so that nobody need ask first."""

    __slots__ = (
        "_chunked",
        "_finished",
        "_transport",
        "blocked",
        "dialect",
        "early",
        "extra",
        "keep_alive",
        "request",
        "source",
        "started",
        "status",
        "_done",
    )

    def __init__(
        self, request: Request, transport: asyncio.Transport, done: Callable[[Reply], None], dialect: Errors
    ) -> None:
        self.request = request
        self.dialect = dialect
        self.extra = b""
        self.keep_alive = request.keep_alive
        self.source: Source | None = None
        self.early: Early | None = None
        self.started = False
        self.blocked = False
        self.status = 0
        self._transport = transport
        self._done = done
        self._chunked = False
        self._finished = False

    def begin_early(self, content_type: bytes, piece: bytes, early: Early) -> None:
        """The head of a 200 and a piece that says nothing, while nobody knows yet what the answer will be.

        For everybody else the answer has not begun by that: `start`, `send` and `refuse` are still to come.
        """
        self.start(200, content_type, None, piece)
        self.started = False
        self.early = early

    def send(self, status: int, content_type: bytes, body: bytes, extra: bytes = b"") -> None:
        """The whole answer at once."""
        if self.early is not None:
            self._end_early(self.early.refusal(body) if status >= 400 else body)
            return
        head = response_head(status, content_type, self.request, len(body), self.keep_alive, self.extra + extra)
        self.started = True
        self.status = status
        self._write(head if self.request.method == b"HEAD" else head + body)
        self._finish()

    def not_modified(self, content_type: bytes, extra: bytes) -> None:
        """304: what the client has is still so. ``extra``: header lines, its ETag among them."""
        head = response_head(304, content_type, self.request, None, self.keep_alive, self.extra + extra)
        self.started = True
        self.status = 304
        self._write(head)
        self._finish()

    def refuse(self, error: GatewayError) -> None:
        """An error of the gateway's own."""
        if self.early is not None:
            self._end_early(self.early.failure(error))
            return
        self.keep_alive = self.keep_alive and not error.close
        extra = b"retry-after: %d\r\n" % error.retry_after if error.retry_after is not None else b""
        if error.status == 401:
            extra += _AUTHENTICATE
        elif isinstance(error, MethodNotAllowed):
            extra += b"allow: %b\r\n" % error.allow
        extra += error.headers
        self.send(error.status, JSON, self.dialect.error(error), extra)

    def start(self, status: int, content_type: bytes, length: int | None, first: bytes) -> None:
        """The head and the first piece, in one write. ``length`` None: not known beforehand."""
        if self.early is not None:
            self.started = True
            self.write(first)
            return
        self._chunked = length is None and self.request.version == "1.1"
        self.keep_alive = self.keep_alive and (length is not None or self._chunked)
        extra = self.extra + _STREAM_HEADERS if length is None else self.extra
        head = response_head(status, content_type, self.request, length, self.keep_alive, extra)
        self.started = True
        self.status = status
        self._write(head + (chunk(first) if self._chunked else first))

    def write(self, data: bytes) -> None:
        """A further piece; never empty."""
        self._write(chunk(data) if self._chunked else data)

    def finish(self) -> None:
        """The regular end of what `start` began."""
        if self._chunked:
            self._write(LAST_CHUNK)
        self._finish()

    def break_off(self) -> None:
        """End so that the client can tell that something is missing: the connection is cut inside the framing."""
        self._transport.abort()
        self._finish()

    def pause(self) -> None:
        """The client does not take what is written as fast as it comes."""
        self.blocked = True
        if self.source is not None:
            self.source.pause()

    def resume(self) -> None:
        self.blocked = False
        if self.source is not None:
            self.source.resume()

    def _end_early(self, data: bytes) -> None:
        self.started = True
        if data:
            self.write(data)
        self.finish()

    def _write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def _finish(self) -> None:
        if not self._finished:
            self._finished = True
            self._done(self)
