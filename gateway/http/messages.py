"""HTTP/1.1 messages as bytes: what a request is, and how a response head is written. No I/O."""

from __future__ import annotations

from gateway.core.record import RequestRecord

REASONS = {
    200: b"OK",
    201: b"Created",
    304: b"Not Modified",
    400: b"Bad Request",
    401: b"Unauthorized",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    409: b"Conflict",
    413: b"Content Too Large",
    415: b"Unsupported Media Type",
    422: b"Unprocessable Content",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
    508: b"Loop Detected",
}
JSON = b"application/json"
TEXT = b"text/plain"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


class Request(RequestRecord):
    """One request as it came, and its record.

    ``headers``: only the few that the gateway reads, by lower-case name. ``cors``: header lines for its answer, for
    browsers. ``held``: bytes of `BodyBudget` that it has.
    """

    __slots__ = ("body", "cors", "headers", "held", "keep_alive", "method", "target", "version")

    def __init__(self, request_id: str, received: float) -> None:
        RequestRecord.__init__(self, request_id, received)  # super() makes an object for each request
        self.method = b""
        self.target = b""
        self.version = "1.1"
        self.headers: dict[bytes, bytes] = {}
        self.body: bytes | bytearray = b""
        self.held = 0
        self.cors = b""
        self.keep_alive = True

    @property
    def path(self) -> bytes:
        """The raw path, without the query; never decoded, so that nothing can hide in it."""
        target = self.target
        return target.partition(b"?")[0] if b"?" in target else target


def response_head(
    status: int, content_type: bytes, request: Request, length: int | None, keep_alive: bool, extra: bytes = b""
) -> bytes:
    """A response head. ``length`` None: a 304, or chunked; for an HTTP/1.0 client the body ends with the connection.

    ``extra``: further header lines, each with its CRLF.
    """
    if length is not None:
        framing = b"content-length: %d\r\n" % length
    else:
        framing = b"transfer-encoding: chunked\r\n" if request.version == "1.1" and status != 304 else b""
    return b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\nx-request-id: %b\r\n%b%b%b\r\n" % (
        status,
        REASONS.get(status, b"Status"),
        content_type,
        request.id.encode(),
        framing,
        b"" if keep_alive else b"connection: close\r\n",
        request.cors + extra,
    )


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)
