"""What slow, broken and hostile clients meet: bytes on a socket, as no HTTP library would send them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.gateway.harness import KEY, Engine, Gateway, Raw, chat, chat_bytes, post_bytes, wait_until

SECOND = b"GET /livez HTTP/1.1\r\nHost: smuggled\r\n\r\n"


BODY = chat_bytes(max_tokens=1)


CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)


@pytest.fixture(scope="module")
def strict(shared_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with short limits."""
    limits = {"header_timeout_s": 0.6, "body_timeout_s": 0.8, "keep_alive_s": 0.5}
    gateway = Gateway(tmp_path_factory.mktemp("strict"), [shared_engine.url], limits=limits)
    gateway.wait_up()
    yield gateway
    gateway.stop()


def answers(port: int, data: bytes) -> list[bytes]:
    """The status lines of all that is answered until the gateway closes."""
    with Raw(port) as raw:
        with contextlib.suppress(ConnectionError):
            raw.send(data)
        found = raw.read_to_close()
    return [line for line in found.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]


def codes(port: int, data: bytes) -> list[int]:
    return [int(line.split(b" ")[1]) for line in answers(port, data)]


@pytest.mark.parametrize(
    "opening", [b"", b"POST /v1/completions HTTP/1.1\r\nHost: g\r\n"], ids=["silent", "half a head"]
)
def test_p22_headers_that_do_not_come_close_the_connection(strict: Gateway, opening: bytes) -> None:
    began = time.monotonic()
    got = codes(strict.port, opening)
    assert got == ([408] if opening else [])
    assert time.monotonic() - began < 3.5


def test_p22_trickling_header_bytes_do_not_extend_the_limit(strict: Gateway) -> None:
    began = time.monotonic()
    with Raw(strict.port) as raw, contextlib.suppress(ConnectionError):
        raw.send(b"GET /health HTTP/1.1\r\nHost: g\r\nX-Slow: ")
        while time.monotonic() - began < 8:
            raw.send(b"a")
            time.sleep(0.1)
    assert time.monotonic() - began < 4.5


def test_p22_an_idle_kept_connection_is_closed(strict: Gateway) -> None:
    with Raw(strict.port) as raw:
        raw.send(SECOND)
        raw.read_until(b'{"status":"ok"}')
        began = time.monotonic()
        assert raw.read_to_close() == b""
    assert 0.2 < time.monotonic() - began < 3


def test_p24_a_body_that_does_not_come_is_408(strict: Gateway) -> None:
    began = time.monotonic()
    assert codes(strict.port, post_bytes(b"abc", "Content-Length: 100")) == [408]
    assert time.monotonic() - began < 5


def test_p23_large_headers_are_431(gateway: Gateway) -> None:
    many = "".join(f"X-{number}: y\r\n" for number in range(101)).encode()
    for headers in (b"X-Big: " + b"x" * 33_000 + b"\r\n", b"X-Big: " + b"x" * 1_000_000 + b"\r\n", many):
        assert codes(gateway.port, b"GET /livez HTTP/1.1\r\nHost: g\r\n" + headers + b"\r\n") == [431]
    assert codes(gateway.port, b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: g\r\n\r\n") == [431]
    fine = "".join(f"X-{number}: y\r\n" for number in range(90)).encode()
    assert codes(gateway.port, b"GET /livez HTTP/1.1\r\nHost: g\r\nConnection: close\r\n" + fine + b"\r\n") == [200]


AMBIGUOUS = {
    "length and coding": post_bytes(CHUNKED, f"Content-Length: {len(BODY)}", "Transfer-Encoding: chunked"),
    "coding and length": post_bytes(CHUNKED, "Transfer-Encoding: chunked", "Content-Length: 3"),
    "two equal lengths": post_bytes(BODY, f"Content-Length: {len(BODY)}", f"Content-Length: {len(BODY)}"),
    "list of lengths": post_bytes(BODY, f"Content-Length: {len(BODY)}, {len(BODY)}"),
    "signed length": post_bytes(BODY, f"Content-Length: +{len(BODY)}"),
    "negative length": post_bytes(BODY, "Content-Length: -1"),
    "hex length": post_bytes(BODY, "Content-Length: 0x10"),
    "coding twice": post_bytes(CHUNKED, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
    "space before colon": post_bytes(CHUNKED, "Transfer-Encoding : chunked"),
    "bad chunk size": post_bytes(b"0x3\r\nabc\r\n0\r\n\r\n", "Transfer-Encoding: chunked"),
    "chunk size overflow": post_bytes(b"f" * 17 + b"\r\nabc", "Transfer-Encoding: chunked"),
    "bare LF in chunks": post_bytes(b"3\nabc\n0\n\n", "Transfer-Encoding: chunked"),
    "bare LF head": b"GET /livez HTTP/1.1\nHost: g\n\n",
    "folded header": b"GET /livez HTTP/1.1\r\nHost: g\r\nX-A: b\r\n c\r\n\r\n",
    "chunked in 1.0": post_bytes(CHUNKED, "Transfer-Encoding: chunked").replace(b"HTTP/1.1", b"HTTP/1.0"),
    "no host": b"GET /livez HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "path in host": b"GET /livez HTTP/1.1\r\nHost: a/health?\r\n\r\n",
    "absolute target": b"GET http://evil/livez HTTP/1.1\r\nHost: g\r\n\r\n",
    "target without slash": b"GET @evil.com HTTP/1.1\r\nHost: g\r\n\r\n",
    "version 9.9": b"GET /livez HTTP/9.9\r\nHost: g\r\n\r\n",
    "version 2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "lower-case method": b"get /livez HTTP/1.1\r\nHost: g\r\n\r\n",
    "connect": b"CONNECT evil:443 HTTP/1.1\r\nHost: evil:443\r\n\r\n",
    "nul in header": b"GET /livez HTTP/1.1\r\nHost: g\r\nX-A: a\x00b\r\n\r\n",
    "tls hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 40,
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_p25_ambiguous_requests_are_400_and_closed(gateway: Gateway, name: str) -> None:
    """One answer, then the close: what follows in the same packet is never answered as a second request."""
    assert codes(gateway.port, AMBIGUOUS[name] + SECOND) == [400]


@pytest.mark.parametrize("coding", ["gzip", "gzip, chunked", ",chunked", "xchunked", "identity", "chunked, identity"])
def test_p26_another_transfer_encoding_is_refused_and_closed(gateway: Gateway, coding: str) -> None:
    got = codes(gateway.port, post_bytes(CHUNKED, f"Transfer-Encoding: {coding}") + SECOND)
    assert got in ([501], [400])


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_p27_an_upgrade_is_not_made_and_the_body_not_lost(gateway: Gateway, framing: str) -> None:
    upgrade = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")
    if framing == "length":
        data = post_bytes(BODY, *upgrade, f"Content-Length: {len(BODY)}")
    else:
        data = post_bytes(CHUNKED, *upgrade, "Transfer-Encoding: chunked")
    with Raw(gateway.port) as raw:
        raw.send(data)
        assert b'"finish_reason":"length"' in raw.read_until(b'"completion_tokens":1}}')
        raw.send(SECOND)
        assert raw.read_until(b'{"status":"ok"}').startswith(b"HTTP/1.1 200 ")


def test_p27_a_websocket_offer_on_get_is_answered_plainly(gateway: Gateway) -> None:
    data = b"GET /livez HTTP/1.1\r\nHost: g\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    with Raw(gateway.port) as raw:
        raw.send(data)
        assert raw.read_until(b'{"status":"ok"}').startswith(b"HTTP/1.1 200 ")


def test_p29_the_engine_sees_a_request_of_the_gateways_making(
    start_gateway: Callable[..., Gateway], recording_engine: tuple[str, list[bytes]]
) -> None:
    url, seen = recording_engine
    gateway = start_gateway([url])
    gateway.wait_up()
    sneaky = (
        "X-Forwarded-For: 1.2.3.4",
        "Cookie: a=b",
        "Accept-Encoding: gzip",
        "X-Request-Id: mine",
        "Content-Length",
    )
    with Raw(gateway.port) as raw:
        raw.send(post_bytes(BODY, *sneaky[:4], f"{sneaky[4]}: {len(BODY)}", path="/v1/completions?admin=1"))
        raw.read_until(b"\r\n\r\n")
    posted = [data for data in seen if data.startswith(b"POST")][-1]  # before it came the gateway's own, for a token
    head, _, body = posted.partition(b"\r\n\r\n")
    names = {line.split(b":")[0].lower() for line in head.split(b"\r\n")[1:]}
    assert head.startswith(b"POST /v1/completions HTTP/1.1\r\n")
    assert names == {b"host", b"content-type", b"accept", b"x-request-id", b"content-length"}
    assert body == BODY
    assert KEY.encode() not in posted and b"mine" not in posted


def test_p31_requests_sent_ahead_are_answered_in_order(gateway: Gateway) -> None:
    first = post_bytes(BODY, f"Content-Length: {len(BODY)}")
    with Raw(gateway.port) as raw:
        raw.send(first + SECOND + first)
        got = raw.read_until(b'{"status":"ok"}')
        while got.count(b'"completion_tokens":1}}') < 2:
            got += raw.socket.recv(65536)
    assert got.count(b"HTTP/1.1 200 OK") == 3
    assert got.index(b"chat.completion") < got.index(b'{"status":"ok"}') < got.rindex(b"chat.completion")


def test_p31_too_much_sent_ahead_closes_the_connection(gateway: Gateway, engine: Engine) -> None:
    engine.turn(ttft_ms=3000)
    with Raw(gateway.port) as raw:
        raw.send(post_bytes(BODY, f"Content-Length: {len(BODY)}"))
        wait_until(lambda: engine.running() == 1, 5, "being answered")
        with contextlib.suppress(ConnectionError):
            raw.send(SECOND * (200_000 // len(SECOND)))  # sound requests: only their number is at fault
        assert raw.read_to_close() == b""


def test_p8_chunk_framing_without_content_is_bounded(start_gateway: Callable[..., Gateway], engine: Engine) -> None:
    gateway = start_gateway([engine.url], limits={"max_body_bytes": 100_000})
    piece = b"1;" + b"e" * 30_000 + b"\r\nx\r\n"
    assert codes(gateway.port, post_bytes(piece * 40, "Transfer-Encoding: chunked")) == [413]


def test_p8_one_byte_chunks_cost_no_more_memory_than_their_content(gateway: Gateway, client: httpx.Client) -> None:
    client.post("/v1/chat/completions", json=chat(max_tokens=1))
    before = gateway.rss_mib()
    with Raw(gateway.port) as raw:
        raw.send(post_bytes(b"", "Transfer-Encoding: chunked"))
        for _ in range(20):
            raw.send(b"1\r\nx\r\n" * 50_000)
        assert gateway.rss_mib() - before < 40
