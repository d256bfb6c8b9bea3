"""P39: whatever bytes come, the reader refuses or reads on; it never breaks, and never reads two where one was sent."""

from __future__ import annotations

import itertools

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.core.errors import GatewayError
from gateway.http.messages import Request
from gateway.http.parser import MAX_HEADER_BYTES, RequestParser
from tests.gateway.harness import Gateway, Raw

LIMIT = 1000


class Taker:
    def __init__(self) -> None:
        self.requests: list[Request] = []

    def head_complete(self, request: Request, has_body: bool) -> None:
        pass

    def request_complete(self, request: Request) -> None:
        self.requests.append(request)


def read(pieces: list[bytes]) -> tuple[list[Request], GatewayError | None]:
    taker = Taker()
    reader = RequestParser(taker, (str(number) for number in itertools.count()), LIMIT)
    try:
        for piece in pieces:
            reader.feed(piece, 0.0)
    except GatewayError as error:
        return taker.requests, error
    return taker.requests, None


def cut(data: bytes, slots: list[int]) -> list[bytes]:
    edges = [0, *sorted(slot % (len(data) + 1) for slot in slots), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges) if a != b]


token = st.sampled_from(
    [
        b"GET", b"POST", b" ", b"/v1/models", b"/", b"HTTP/1.1", b"HTTP/1.0", b"\r\n", b"\n", b"\r", b":", b"Host: g",
        b"Content-Length: 5", b"Content-Length: 0", b"Transfer-Encoding: chunked", b"Transfer-Encoding", b"chunked",
        b"Connection: upgrade", b"Upgrade: h2c", b"Connection: close", b"5\r\nhello\r\n", b"0\r\n\r\n", b"hello",
        b"\x00", b"Host", b"Expect: 100-continue", b"x" * 40, b",", b"\t", b"\xff",
    ]
)  # fmt: skip
messages = st.one_of(st.binary(max_size=300), st.lists(token, max_size=40).map(b"".join))
heads = st.sampled_from([b"GET / HTTP/1.1\r\nHost: g\r\n", b"POST /v1/completions HTTP/1.1\r\nHost: g\r\n", b""])
splits = st.lists(st.integers(0, 10_000), max_size=5)


@settings(max_examples=1500, deadline=None)
@given(head=heads, rest=messages, slots=splits)
def test_p39_any_bytes_are_read_or_refused(head: bytes, rest: bytes, slots: list[int]) -> None:
    requests, error = read(cut(head + rest, slots))
    assert error is None or 400 <= error.status <= 501
    for request in requests:
        assert len(request.body) <= LIMIT
        assert request.target.startswith(b"/")


@settings(max_examples=300, deadline=None)
@given(body=st.binary(max_size=LIMIT), slots=splits, sizes=st.lists(st.integers(1, 50), max_size=8))
def test_p39_a_body_arrives_whole_however_it_is_cut(body: bytes, slots: list[int], sizes: list[int]) -> None:
    plain = b"POST / HTTP/1.1\r\nHost: g\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    chunks, rest = b"", body
    for size in [*sizes, LIMIT]:
        piece, rest = rest[:size], rest[size:]
        chunks += b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
    chunked = b"POST / HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    requests, error = read(cut(plain + chunked, slots))
    assert error is None
    assert [bytes(request.body) for request in requests] == [body, body]


@settings(max_examples=100, deadline=None)
@given(name=st.from_regex(rb"[A-Za-z][A-Za-z-]{0,20}", fullmatch=True), size=st.integers(0, 2 * MAX_HEADER_BYTES))
def test_p39_a_header_is_refused_exactly_when_it_is_too_large(name: bytes, size: int) -> None:
    data = b"GET / HTTP/1.1\r\nHost: g\r\nX-%b: %b\r\n\r\n" % (name, b"v" * size)
    requests, error = read([data[: len(data) // 2], data[len(data) // 2 :]])
    if size > MAX_HEADER_BYTES:
        assert error is not None and error.status == 431
    elif size < MAX_HEADER_BYTES - 100:
        assert error is None and len(requests) == 1


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(head=heads, rest=messages)
def test_p39_on_the_socket_the_answer_is_4xx_5xx_or_a_close_and_the_gateway_lives(
    gateway: Gateway, head: bytes, rest: bytes
) -> None:
    end = b"\r\n\r\nBAD\r\n\r\n"  # whatever was open before, this ends it
    with Raw(gateway.port, timeout_s=15) as raw:
        raw.send(head + rest + end)
        raw.socket.settimeout(0.05)
        try:
            got = raw.read_to_close()
        except TimeoutError:
            got = b""
    assert got[:13] in (b"",) or got.startswith(b"HTTP/1.1 ")
    with Raw(gateway.port) as raw:
        raw.send(b"GET /livez HTTP/1.1\r\nHost: g\r\n\r\n")
        raw.read_until(b'{"status":"ok"}')
