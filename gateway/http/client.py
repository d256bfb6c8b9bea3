"""HTTP client for engines: one asyncio.Protocol for each connection, and a pool of warm ones for each address."""

from __future__ import annotations

import asyncio
import errno
import os
from typing import Protocol, cast

import httptools

from gateway.core.errors import How
from gateway.http import tls
from gateway.http.sockets import see_vanishing, taken

# vLLM closes a kept connection after 5 s (VLLM_HTTP_TIMEOUT_KEEP_ALIVE): one idle for longer than this may be
# closing just now, and a request sent into it would be lost.
MAX_IDLE_S = 4.0
# The same to another box's gateway, or to what stands before it: they keep a connection for 75 s and longer, and a new
# one costs three trips.
FAR_IDLE_S = 30.0
# A kept connection that is lost so soon after a request was sent into it, without a byte, was closing already. One that
# is lost later was lost while the engine worked: the request may be the cause.
STALE_S = 0.1

# A connect that fails so was refused by a machine on which nobody listens there: the process is gone.
REFUSED = frozenset({errno.ECONNREFUSED, errno.ENOENT})
# One that fails so lacked something here, and says nothing about the engine.
OWN_SHORTAGE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})


class Head:
    """Of one response, what is read of its head. ``length``: None where the head does not say; ``events``: a stream."""

    __slots__ = ("coding", "content_type", "events", "length", "retry_after", "status")

    def __init__(self) -> None:
        self.status = 0
        self.content_type = b""
        self.length: int | None = None
        self.coding = b""
        self.retry_after = b""
        self.events = False

    def be_of(self, content_type: bytes) -> None:
        """Set its content type, and with it whether it is a stream."""
        self.content_type = content_type
        self.events = content_type[:17].lower() == b"text/event-stream"


class Receiver(Protocol):
    """Takes one response as it comes."""

    def on_head(self, head: Head) -> None: ...

    def on_data(self, data: bytes) -> None:
        """Body bytes without framing; all that one read brought."""

    def on_end(self) -> None: ...

    def on_lost(self, why: str, how: How) -> None:
        """The connection broke or spoke nonsense; ``how``: whether the engine can have the request."""


def why(error: OSError) -> str:
    """The system's words for it. Not asyncio's own: they name the address, and clients are not told that."""
    return tls.fault(error) or (os.strerror(error.errno).lower() if error.errno else type(error).__name__)


class EngineConnection(asyncio.Protocol):
    """One connection to one engine; one request at a time."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)
        self._receiver: Receiver | None = None
        self._head = Head()
        self._trailer = Head()  # takes what stands behind a body, and is not read
        self._body: list[bytes] = []
        self._complete = False
        self._keep_alive = False
        self._sent_at = 0.0
        self._taken = True  # its kernel may have given the request to the engine
        self._heard = False  # a byte since the request, be it half a status line
        self.idle_since = 0.0  # 0 until it has been kept

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def eof_received(self) -> None:
        self._taken = taken(self._transport.get_extra_info("socket"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._pool.forget(self)
        if isinstance(exc, ConnectionError):
            self._taken = False
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            reason = f" ({why(exc)})" if isinstance(exc, OSError) else ""
            receiver.on_lost(f"closed the connection{reason}", self._how())

    def data_received(self, data: bytes) -> None:
        receiver = self._receiver
        if receiver is None:
            self._transport.abort()
            return
        self._heard = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            raise error.__context__ or error from None  # a defect of ours, not of the engine
        except httptools.HttpParserError as error:
            self._drop(receiver, f"sent what is not HTTP ({error})")
            return
        except httptools.HttpParserUpgrade:
            self._drop(receiver, "switched to another protocol")
            return
        if self._receiver is not receiver:  # it gave up at the head
            return
        if self._body:
            body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            self._body.clear()
            receiver.on_data(body)
        if self._complete and self._receiver is receiver:
            self._complete = False
            self._end(receiver)

    def _drop(self, receiver: Receiver, why: str) -> None:
        self._receiver = None
        self._transport.abort()
        receiver.on_lost(why, "broken")

    def request(self, receiver: Receiver, data: bytes, now: float) -> None:
        """Send a whole request; ``receiver`` gets what comes back. ``now``: the loop's clock."""
        self._receiver = receiver
        self._heard = False
        self._sent_at = now
        self._transport.write(data)

    def cancel(self, receiver: Receiver) -> None:
        """Stop caring. A response under way is cut by closing, so that the engine frees its KV blocks.

        Does nothing once the response is complete: the connection may be somebody else's by then.
        """
        if self._receiver is receiver:
            self._receiver = None
            self._transport.abort()

    def pause(self) -> None:
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    @property
    def usable(self) -> bool:
        return not self._transport.is_closing()

    def close(self) -> None:
        self._transport.abort()

    def _how(self) -> How:
        """Whether the engine can have had the request of a connection that is lost."""
        if self._heard:
            return "broken"
        if self._transport.get_write_buffer_size() > 0:
            return "unsent"
        if self.idle_since and self._pool.now() - self._sent_at < STALE_S:
            return "stale" if self._taken else "unread"
        return "silent"

    def on_message_begin(self) -> None:
        self._head = Head()  # also after a 100 or 103, whose headers are not the answer's

    def on_header(self, name: bytes, value: bytes) -> None:
        name, head = name.lower(), self._head
        if name == b"content-type":
            head.be_of(value)
        elif name == b"content-length" and value.isdigit():
            head.length = int(value)
        elif name == b"content-encoding" and value.lower() != b"identity":
            head.coding = value
        elif name == b"retry-after":
            head.retry_after = value

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        self._keep_alive = self._parser.should_keep_alive()  # the parser forgets it when the message ends
        if self._receiver is not None and status >= 200:
            head, self._head = self._head, self._trailer
            head.status = status
            self._receiver.on_head(head)

    def on_body(self, data: bytes) -> None:
        self._body.append(data)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() >= 200:
            self._complete = True

    def _end(self, receiver: Receiver) -> None:
        self._receiver = None
        receiver.on_end()
        if not self._keep_alive:
            self._transport.close()
        elif self.usable:
            self.resume()  # the last piece may have filled a slow client's buffer
            self._pool.put(self)


class Pool:
    """Connections to one address: the idle ones, newest first out. ``host``: with a slash first a socket's path.

    ``secured``: over TLS, to another gateway, which keeps connections for longer than an engine does.
    """

    def __init__(self, host: str, port: int, loop: asyncio.AbstractEventLoop, secured: tls.Tls | None = None) -> None:
        self._host = host
        self._port = port
        self._loop = loop
        self._secured = secured
        self._max_idle_s = MAX_IDLE_S if secured is None else FAR_IDLE_S
        self._idle: list[EngineConnection] = []

    def now(self) -> float:
        """The loop's clock, in seconds."""
        return self._loop.time()

    def take(self) -> EngineConnection | None:
        """A warm connection, if there is one."""
        oldest = self._loop.time() - self._max_idle_s
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and connection.idle_since > oldest:
                return connection
            connection.close()
        return None

    async def connect(self, timeout_s: float) -> EngineConnection:
        """A new connection.

        Raises:
            OSError: refused, unreachable; TimeoutError when it took too long.
        """
        async with asyncio.timeout(timeout_s):
            if self._host.startswith("/"):  # a socket of this machine
                behind = await self._loop.create_unix_connection(lambda: EngineConnection(self), self._host)
                return behind[1]
            secured = self._secured
            if secured is None:
                made = await self._loop.create_connection(lambda: EngineConnection(self), self._host, self._port)
            else:
                made = await self._loop.create_connection(
                    lambda: EngineConnection(self), self._host, self._port, ssl=secured.context,
                    server_hostname=secured.name,
                )  # fmt: skip
        see_vanishing(made[0].get_extra_info("socket"))
        return made[1]

    def put(self, connection: EngineConnection) -> None:
        connection.idle_since = self._loop.time()
        self._idle.append(connection)

    def forget(self, connection: EngineConnection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)

    def check(self, now: float) -> None:
        """Close what has been idle too long (called by the ticker)."""
        while self._idle and self._idle[0].idle_since < now - self._max_idle_s:
            self._idle.pop(0).close()

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()
