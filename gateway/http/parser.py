"""Request parser: bytes of a client to requests. httptools parses; further rules are here. No I/O, no clock."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator
from typing import Protocol

import httptools

from gateway.core.errors import BadFraming, GatewayError, HeadersTooLarge, TooLarge, UnknownCoding
from gateway.http.messages import Request

MAX_HEADER_BYTES = 32 * 1024
MAX_HEADERS = 100
# A chunked body may be this much larger on the wire than inside: room for framing, none for abuse of it.
FRAMING_ALLOWANCE = 64 * 1024

_KEPT = frozenset(
    {b"authorization", b"x-api-key", b"content-encoding", b"expect", b"x-priority", b"x-session-id", b"origin"}
    | {b"anthropic-version", b"x-openwebui-user-id", b"x-fullbatch-via"}
    | {b"access-control-request-method", b"access-control-request-headers", b"accept", b"if-none-match"}
    | {b"traceparent", b"tracestate"}
)
_READ = _KEPT | {b"host", b"content-length", b"transfer-encoding"}
_HOST_FORBIDDEN = frozenset(b"/?#@\\ \t,")


class RequestOwner(Protocol):
    """Who reads. Both are called from within `RequestParser.feed`."""

    def head_complete(self, request: Request, has_body: bool) -> None:
        """The head is there and sound; a GatewayError raised here refuses the request."""

    def request_complete(self, request: Request) -> None:
        """The body is there too."""


def request_ids() -> Iterator[str]:
    """Ids that are unique among gateways and cheap: a random start and a counter."""
    start = secrets.token_hex(6)
    for number in itertools.count(1):
        yield f"req-{start}-{number:x}"


class RequestParser:
    """Reads one connection. After `feed` has raised, the connection can only be answered and closed."""

    def __init__(self, owner: RequestOwner, ids: Iterator[str], max_body_bytes: int) -> None:
        self._owner = owner
        self._ids = ids
        self._max_body_bytes = max_body_bytes
        self._parser = httptools.HttpRequestParser(self)
        self._fault: GatewayError | None = None
        self._replaying = False
        self._nothing = Request("", 0.0)
        self._begin()

    def feed(self, data: bytes, now: float) -> None:
        """Take bytes as they came.

        Raises:
            GatewayError: the request is refused. The owner's own refusals come out here too.
        """
        self._now = now
        self._wire_bytes += len(data)
        self._parse(data)
        if self._fault is None and self.in_head and self._wire_bytes > MAX_HEADER_BYTES:
            self._fault = HeadersTooLarge(f"the headers are over {MAX_HEADER_BYTES // 1024} KiB")
        if self._fault is not None:
            raise self._fault

    @property
    def idle(self) -> bool:
        """Nothing of a next request has come."""
        return self._wire_bytes == 0

    @property
    def length(self) -> int | None:
        """Bytes of the body as the head says; None for one in chunks, or none."""
        return self._length

    def limit_body(self, most: int | None) -> None:
        """Of this request, whose head has come. ``most``: bytes; None is the limit of all.

        Raises:
            TooLarge: its head says that it is larger.
        """
        if most is None:
            return
        self._most_body = min(most, self._max_body_bytes)
        if self._length is not None and self._length > self._most_body:
            raise self._too_large()

    @property
    def begun(self) -> Request | None:
        """What is there of a request whose head is not accepted yet; its path says in which shape to refuse it."""
        return self._request if self._request.id else None

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._fault is None:
                self._parse_on_without_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError as error:
            raise error.__context__ or error from None  # a defect of ours, not of the request
        except httptools.HttpParserError as error:
            if self._fault is None:
                self._fault = BadFraming(f"this is not valid HTTP/1.1: {error}")

    def _parse_on_without_upgrade(self, rest: bytes) -> None:
        """Go on as if no upgrade had been asked for.

        The parser stops at the head of such a request and would drop its body: clients that offer h2c on a POST
        would lose it. So a new parser is shown a plain head with the same framing.
        """
        if self._request.method == b"CONNECT":
            self._fault = BadFraming("CONNECT is not served here")
            return
        framing = b""
        if self._chunked:
            framing = b"transfer-encoding: chunked\r\n"
        elif self._length is not None:
            framing = b"content-length: %d\r\n" % self._length
        self._parser = httptools.HttpRequestParser(self)
        self._replaying = True
        self._parse(b"POST / HTTP/1.1\r\nhost: x\r\n" + framing + b"\r\n")
        self._replaying = False
        self._parse(rest)

    def _begin(self) -> None:
        self.in_head = True
        self._wire_bytes = 0
        self._header_bytes = 0
        self._header_count = 0
        self._hosts: tuple[bytes, ...] = ()
        self._lengths: tuple[bytes, ...] = ()
        self._codings: tuple[bytes, ...] = ()
        self._length: int | None = None
        self._chunked = False
        self._most_body = self._max_body_bytes
        self._request = self._nothing

    # What httptools calls. An exception raised in here would be swallowed, so faults are kept for `feed`.

    def on_message_begin(self) -> None:
        if self._replaying or self._fault is not None:
            return
        # Counters and lists are new already: since the message before, or since the connection.
        self._request = Request(next(self._ids), self._now)

    def on_url(self, url: bytes) -> None:
        if not self._replaying:
            self._request.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.in_head:
            self._on_trailer(name, value)
            return
        self._header_count += 1
        self._header_bytes += len(name) + len(value) + 4
        name = name.lower()
        if name not in _READ:
            return
        if name in _KEPT:
            self._request.headers[name] = value
        elif name == b"host":
            self._hosts += (value,)
            self._request.headers[name] = value
        elif name == b"content-length":
            self._lengths += (value,)
        else:
            self._codings += (value,)

    def _on_trailer(self, name: bytes, value: bytes) -> None:
        """Counted, never believed. While a head is replayed, what comes here are that one's headers."""
        if not self._replaying:
            self._header_count += 1
            self._header_bytes += len(name) + len(value) + 4
            if self._header_count > MAX_HEADERS or self._header_bytes > MAX_HEADER_BYTES:
                self._fault = self._too_much_head()

    def on_headers_complete(self) -> None:
        if self._replaying or self._fault is not None:
            return
        self.in_head = False
        request = self._request
        request.method = self._parser.get_method()
        request.version = self._parser.get_http_version()
        request.keep_alive = self._parser.should_keep_alive() or self._parser.should_upgrade()
        try:
            if self._header_count > MAX_HEADERS or self._header_bytes + len(request.target) > MAX_HEADER_BYTES:
                raise self._too_much_head()
            self._judge_head()
            has_body = self._chunked or bool(self._length)
            self._owner.head_complete(request, has_body)
        except GatewayError as error:
            self._fault = error

    def on_body(self, data: bytes) -> None:
        if self._fault is not None:
            return
        request = self._request
        if len(request.body) + len(data) > self._most_body:
            self._fault = self._too_large()
        elif self._wire_bytes > 2 * self._most_body + FRAMING_ALLOWANCE:
            self._fault = TooLarge("the chunked body has more framing than content")
        elif not request.body:
            request.body = data
        elif isinstance(request.body, bytearray):
            request.body += data
        else:  # one growing buffer: a list of one-byte chunks would cost 40 times its content
            request.body = bytearray(request.body) + data

    def on_message_complete(self) -> None:
        # With an upgrade the parser calls this without having read the body; see _parse_on_without_upgrade.
        if self._fault is not None or self._parser.should_upgrade():
            return
        request = self._request
        self._begin()
        try:
            self._owner.request_complete(request)
        except GatewayError as error:
            self._fault = error

    def _too_much_head(self) -> HeadersTooLarge:
        if self._header_count > MAX_HEADERS:
            return HeadersTooLarge(f"over {MAX_HEADERS} headers")
        return HeadersTooLarge(f"the headers are over {MAX_HEADER_BYTES // 1024} KiB")

    def _judge_head(self) -> None:
        request = self._request
        if request.version not in ("1.0", "1.1"):
            raise BadFraming(f"HTTP/{request.version} is not served here; use HTTP/1.1")
        if not request.target.startswith(b"/"):
            raise BadFraming("the request target must be a path that starts with '/'")
        if len(self._hosts) > 1 or (not self._hosts and request.version == "1.1"):
            raise BadFraming("exactly one Host header is needed")
        if self._hosts and not _HOST_FORBIDDEN.isdisjoint(self._hosts[0]):
            raise BadFraming("the Host header must be a host name and a port, nothing else")
        self._judge_framing()

    def _judge_framing(self) -> None:
        if self._codings and self._lengths:
            raise BadFraming("both Content-Length and Transfer-Encoding; send one")
        if self._codings:
            if len(self._codings) > 1 or self._request.version == "1.0":
                raise BadFraming("one Transfer-Encoding, and only in HTTP/1.1")
            if self._codings[0].strip().lower() != b"chunked":
                raise UnknownCoding("the only Transfer-Encoding served here is 'chunked'")
            self._chunked = True
        elif self._lengths:
            if len(self._lengths) > 1 or not self._lengths[0].isdigit():
                raise BadFraming("Content-Length must be one number")
            self._length = int(self._lengths[0])
            if self._length > self._max_body_bytes:
                raise self._too_large()

    def _too_large(self) -> TooLarge:
        whose = "limits.max_body_bytes" if self._most_body == self._max_body_bytes else "this key's max_body_bytes"
        return TooLarge(f"the body is over the limit of {self._most_body} bytes ({whose})")
