"""HTTP server for clients: one asyncio.Protocol for each connection, with limits against slow or hostile ones."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

from gateway.config.settings import Limits
from gateway.core.errors import GatewayError, RequestTimeout, TooManyConnections
from gateway.core.ticker import Ticker
from gateway.http.body_budget import SMALL_BODY, BodyBudget
from gateway.http.messages import CONTINUE, Request
from gateway.http.parser import RequestParser
from gateway.http.reply import Reply, Surface

# Bytes of further requests that a client may send while one is being answered.
PIPELINE_BYTES = 64 * 1024
WRITE_HIGH, WRITE_LOW = 64 * 1024, 16 * 1024
# After a refusal the rest of what the client sends is read and dropped for so long; closing at once would
# make the kernel answer with a reset, and the client might never see why it was refused.
LINGER_S = 2.0
# Over `limits.max_connections` so many more are let in, for what needs no key: health checks and scrapes.
SPARE_CONNECTIONS = 16
# They have so long for their heads, in seconds: slow ones must not keep health checks out.
SPARE_HEADER_S = 1.0
# Where all are taken, one that has been idle for so long gives way to a newcomer, the longest idle first.
GIVES_WAY_S = 1.0
_FULL = b"too many connections (limits.max_connections)"
_TURNED_AWAY = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\nretry-after: 1\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%b"
) % (len(_FULL), _FULL)


@dataclass(slots=True)
class Context:
    """What all connections share. ``limits`` may be changed; body sizes are for connections made after that.

    ``idle``: those that have no request, not even half of one, and since when; the longest idle first.
    """

    surface: Surface
    limits: Limits
    ids: Iterator[str]
    ticker: Ticker
    loop: asyncio.AbstractEventLoop
    bodies: BodyBudget
    idle: dict[ClientConnection, float] = field(default_factory=dict)


class ClientConnection(asyncio.Protocol):
    """One client. Answers one request at a time; those sent ahead wait in order."""

    def __init__(self, context: Context, connections: set[ClientConnection]) -> None:
        self._context = context
        self._connections = connections
        self._transport: asyncio.Transport
        self._reader = RequestParser(self, context.ids, context.limits.max_body_bytes)
        self._head: Request | None = None
        self._ahead: deque[tuple[Request, GatewayError | None]] = deque()
        self._ahead_bytes = 0
        self._reply: Reply | None = None
        self._task: asyncio.Task[None] | None = None
        self._deadline = math.inf
        self._reading = True
        self._closing = False
        self._spare = False
        self._in_line = False  # its body waits for room
        self._now = 0.0  # when bytes came last

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._make_room()
        over = len(self._connections) - self._context.limits.max_connections
        if over >= SPARE_CONNECTIONS:
            self._reading = False
            self._transport.write(_TURNED_AWAY)
            self._transport.close()
            return
        self._spare = over >= 0
        self._transport.set_write_buffer_limits(WRITE_HIGH, WRITE_LOW)
        self._connections.add(self)
        self._context.ticker.add(self)
        self._expect_head()

    def _make_room(self) -> None:
        """Have the longest idle connection give way, where all are taken."""
        context = self._context
        if len(self._connections) < context.limits.max_connections:
            return
        # The context is shared by all ports, the connections are this one's.
        longest = next((other for other in context.idle if other._connections is self._connections), None)
        if longest is not None and context.loop.time() - context.idle[longest] >= GIVES_WAY_S:
            longest.give_way()

    def give_way(self) -> None:
        """Close, and count no more from now on."""
        self._connections.discard(self)
        self._context.idle.pop(self, None)
        self._reading = False
        self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._connections.discard(self)
        self._context.idle.pop(self, None)
        self._context.ticker.discard(self)
        self._reading = False
        if self._head is not None:
            self._context.bodies.release(self._head)
        if self._reply is not None:
            self._context.bodies.release(self._reply.request)
        for request, _ in self._ahead:
            self._context.bodies.release(request)
        self._ahead.clear()
        if self._task is not None:
            self._task.cancel()

    def eof_received(self) -> None:
        """A client that ends its side is gone: whoever still wants the answer keeps the connection open."""
        self._transport.abort()

    def pause_writing(self) -> None:
        if self._reply is not None:
            self._reply.pause()

    def resume_writing(self) -> None:
        if self._reply is not None:
            self._reply.resume()

    def data_received(self, data: bytes) -> None:
        if not self._reading:
            return
        self._now = now = self._context.loop.time()
        if self._reply is not None:
            self._ahead_bytes += len(data)
            if self._ahead_bytes > PIPELINE_BYTES:
                self._transport.abort()
                return
        elif self._reader.idle and self._head is None:
            self._context.idle.pop(self, None)
            # Absolute from the first byte, or from the connection: bytes that trickle in do not extend it.
            limit = SPARE_HEADER_S if self._spare else self._context.limits.header_timeout_s
            self._deadline = min(self._deadline, now + limit)
        try:
            self._reader.feed(data, now)
            if (head := self._head) is not None and self._reader.length is None:
                if not self._context.bodies.grow(head, len(head.body)):
                    raise self._context.bodies.full()
        except GatewayError as error:
            self._refuse(error)

    def head_complete(self, request: Request, has_body: bool) -> None:
        self._head = request
        self._context.surface.check(request)
        if self._spare and request.principal.name:
            raise TooManyConnections(f"{_FULL.decode()}; try again in 1 s", retry_after=1)
        if not has_body:
            return
        if request.principal.max_body_bytes is not None:
            self._reader.limit_body(request.principal.max_body_bytes)
        if self._reply is None:
            self._deadline = self._now + self._context.limits.body_timeout_s
        length = self._reader.length or 0
        if length <= SMALL_BODY or self._context.bodies.enter(request, length, self._read_body):
            if b"expect" in request.headers:
                self._continue(request)
        else:
            self._in_line = True
            self._transport.pause_reading()

    def request_complete(self, request: Request) -> None:
        if self._in_line:
            self._context.bodies.arrived(request, len(request.body))
            self._in_line = False
            self._transport.resume_reading()
        self._head = None
        if self._reply is None and not self._ahead:  # nearly always
            self._answer(request, None)
        else:
            self._ahead.append((request, None))

    def _read_body(self) -> None:
        """There is room for the body now."""
        self._in_line = False
        if self._head is None or self._transport.is_closing():
            return
        self._deadline = self._context.loop.time() + self._context.limits.body_timeout_s
        self._transport.resume_reading()
        self._continue(self._head)

    def _continue(self, request: Request) -> None:
        if self._reply is None and request.headers.get(b"expect", b"").lower() == b"100-continue":
            self._transport.write(CONTINUE)

    def check(self, now: float) -> None:
        """Close what has been too slow (called by the ticker)."""
        if now < self._deadline:
            return
        self._deadline = math.inf
        if self._closing or (self._reader.idle and self._head is None):
            self._transport.abort()
        elif self._in_line:
            self._in_line = False
            self._transport.resume_reading()
            self._refuse(self._context.bodies.full())
        else:
            what = "headers" if self._reader.in_head else "body"
            self._refuse(RequestTimeout(f"the request's {what} did not arrive in time"))

    def close_when_idle(self) -> None:
        """Finish what runs and what is half sent, take nothing new."""
        if not self.busy:
            self._transport.close()
        elif self._reply is not None:
            self._reply.keep_alive = False
            self._ahead.clear()
            self._reading = False

    @property
    def busy(self) -> bool:
        """A request is being sent, or answered."""
        return self._reply is not None or self._head is not None or not self._reader.idle

    def end(self, error: GatewayError) -> None:
        """Tell the client why its request ends here, and close."""
        reply, task = self._reply, self._task
        if reply is None:
            self._refuse(error)
            return
        reply.keep_alive = False
        if reply.source is not None:
            reply.source.stop(error)
        elif reply.started or task is None:
            self._transport.abort()
        else:
            reply.refuse(error)
            task.cancel()

    def abort(self) -> None:
        self._transport.abort()

    def _expect_head(self, keep_alive: bool = False) -> None:
        context, now = self._context, self._context.loop.time()
        limits = context.limits
        if self._reader.idle and not self._ahead:
            context.idle[self] = now
        wait = limits.keep_alive_s if keep_alive else limits.header_timeout_s
        self._deadline = now + (min(wait, SPARE_HEADER_S) if self._spare else wait)

    def _refuse(self, error: GatewayError) -> None:
        """Answer with an error, in turn, and close."""
        self._reading = False
        now = self._context.loop.time()
        request = self._head or self._reader.begun or Request(next(self._context.ids), now)
        request.keep_alive = False
        self._ahead.append((request, error))
        self._next()

    def _next(self) -> None:
        if self._reply is None and self._ahead:
            self._answer(*self._ahead.popleft())

    def _answer(self, request: Request, error: GatewayError | None) -> None:
        surface = self._context.surface
        self._deadline = math.inf
        self._reply = reply = Reply(request, self._transport, self._replied, surface.dialect(request))
        if error is None:
            self._task = self._context.loop.create_task(surface.handle(request, reply))
        else:
            surface.refused(request, error)
            reply.refuse(error)

    def _replied(self, reply: Reply) -> None:
        """The answer is written; the handler may still be tidying up."""
        self._context.bodies.release(reply.request)
        self._reply = None
        self._task = None
        self._ahead_bytes = 0
        if self._transport.is_closing():
            return
        if not reply.keep_alive:
            self._close_gently()
            return
        self._expect_head(keep_alive=True)
        if self._ahead:
            self._next()

    def _close_gently(self) -> None:
        """Say that no more will be written, drop what still comes, then close."""
        self._closing = True
        if self._reading:
            self._transport.close()
            return
        self._deadline = self._context.loop.time() + LINGER_S
        self._transport.write_eof()
