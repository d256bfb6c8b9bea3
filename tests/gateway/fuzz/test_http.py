"""HTTP that is wrong in every way: an error and the close, or the close; never a second request out of the first."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gateway.fuzz.shapes import assert_is_answer
from tests.gateway.harness import KEY, POLLED, Engine, Gateway, Raw

AUTH = f"Authorization: Bearer {KEY}"
GOOD = b'{"model":"tiny","messages":[],"max_tokens":1}'
HIDDEN = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + KEY.encode() + b"\r\n\r\n"
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(GOOD), GOOD)
HEADERS = [
    "Host: g", "Host: h", "Host:", "Host: a b", "Host: g/x", AUTH, "Authorization: Basic eDp5", "x-api-key: nobody",
    f"x-api-key: {KEY}", f"Content-Length: {len(GOOD)}", "Content-Length: 0", "Content-Length: -1",
    "Content-Length: +5",
    "Content-Length: 5, 5", "Content-Length: 0x10", "Content-Length: 99999999999999999999", "Content-Length: 1e2",
    "Transfer-Encoding: chunked", "Transfer-Encoding: Chunked", "Transfer-Encoding: identity",
    "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: chunked, identity", "Transfer-Encoding : chunked",
    " Transfer-Encoding: chunked", "Transfer-Encoding:\tchunked", "Transfer-Encoding: \x0bchunked", "TE: trailers",
    "Transfer_Encoding: chunked", "Expect: 100-continue", "Expect: x", "Connection: close", "Connection: upgrade",
    "Upgrade: websocket", "Upgrade: h2c", "Content-Encoding: gzip", "Content-Type: text/plain", "X: \x01", "X: \xff",
    ": empty", "no colon", "X" * 5000 + ": y", "X: " + "y" * 40_000, "Cookie: a\x00b", "X: a\r b", "X: a\n\tb",
    "Trailer: Host", "Proxy-Connection: keep-alive", "x-priority: highest", "x-session-id: \xe4",
]  # fmt: skip
BODIES = [GOOD, b"", CHUNKED, b"0\r\n\r\n", b"0\r\n\r\n" + HIDDEN, GOOD + HIDDEN, b"5\r\nhello", b"5\nhello\n0\n\n",
          b"ffffffffffffffffff\r\nx", b"-1\r\nx\r\n0\r\n\r\n", b"5;ext=\x00\r\nhello\r\n0\r\n\r\n", HIDDEN]  # fmt: skip
LINES = [
    "POST /v1/chat/completions HTTP/1.1", "GET /v1/models HTTP/1.1", "POST /api/chat HTTP/1.1", "GET / HTTP/1.1",
    "POST /v1/messages HTTP/1.1", "POST /v1/chat/completions HTTP/1.0", "GET /health HTTP/0.9", "GET /health HTTP/2.0",
    "POST /v1/chat/completions", "post /v1/chat/completions HTTP/1.1", "PRI * HTTP/2.0", "CONNECT g:80 HTTP/1.1",
    "OPTIONS * HTTP/1.1", "GET http://g/health HTTP/1.1", "GET /health HTTP/1.1 ", "GET  /health HTTP/1.1",
    "GET /h\x00 HTTP/1.1", "GET /\xff HTTP/1.1", "GET /" + "x" * 40_000 + " HTTP/1.1", "TRACE / HTTP/1.1", "",
]  # fmt: skip


def say(hostile: Gateway, data: bytes) -> bytes:
    with Raw(hostile.port, timeout_s=8) as raw:
        try:
            raw.send(data)
        except ConnectionError:  # refused while it was still being sent
            return b""
        return raw.read_to_close()


def judge(answer: bytes) -> list[int]:
    """The statuses of the answers; each is no 5xx but 501 for an unknown coding."""
    statuses = []
    while answer:
        head, _, rest = answer.partition(b"\r\n\r\n")
        found = re.match(rb"HTTP/1\.1 (\d{3}) ", head)
        assert found, answer[:300]
        status = int(found[1])
        if status == 100:
            answer = rest
            continue
        statuses.append(status)
        length = re.search(rb"\r\ncontent-length: (\d+)", head)
        if length is None:  # a stream, to the close
            return statuses
        body, answer = rest[: int(length[1])], rest[int(length[1]) :]
        if status >= 400 and body:
            path = "/api/" if body.startswith(b'{"error":"') else "/v1/messages" if b'"type":"error"' in body else "/v1"
            assert_is_answer(path, 400 if status == 501 else status, body)
    return statuses


@settings(max_examples=settings().max_examples * 2)
@given(
    line=st.sampled_from(LINES),
    headers=st.lists(st.sampled_from(HEADERS), max_size=7),
    body=st.sampled_from(BODIES) | st.binary(max_size=60),
    newline=st.sampled_from(["\r\n", "\r\n", "\r\n", "\n", "\r", "\n\r", "\r\r\n"]),
)
def test_p64_requests_put_together_at_random(
    fuzzed: tuple[Gateway, Engine], hostile: Gateway, line: str, headers: list[str], body: bytes, newline: str
) -> None:
    before = fuzzed[1].paths()
    head = newline.join([line, "Host: g", AUTH, "Connection: close", *headers, "", ""])
    statuses = judge(say(hostile, head.encode("latin-1") + body))
    after = fuzzed[1].paths()
    assert len(statuses) <= 1
    # What hid in a body has not become a request.
    assert after.get("POST /v1/completions", 0) == before.get("POST /v1/completions", 0)


@given(data=st.binary(max_size=300))
def test_p64_bytes_that_are_no_http(hostile: Gateway, data: bytes) -> None:
    assert all(status < 500 for status in judge(say(hostile, data + b"\r\n\r\n")))


SMUGGLED = {
    "both lengths": (f"Content-Length: {len(CHUNKED)}", "Transfer-Encoding: chunked"),
    "two lengths": ("Content-Length: 0", f"Content-Length: {len(GOOD)}"),
    "lengths in one": (f"Content-Length: 0, {len(GOOD)}",),
    "a space before the colon": ("Transfer-Encoding : chunked",),
    "a folded header": ("X: a\r\n Transfer-Encoding: chunked",),
    "a bare line feed": ("X: a\nTransfer-Encoding: chunked",),
    "a bare carriage return": ("X: a\rTransfer-Encoding: chunked",),
    "an unknown coding": ("Transfer-Encoding: xchunked",),
    "two codings": ("Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
    "a control character": ("Transfer-Encoding: \x0bchunked",),
    "two hosts": ("Host: other",),
}


@pytest.mark.parametrize("headers", SMUGGLED.values(), ids=list(SMUGGLED))
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/api/chat"])
def test_p64_smuggling_shapes(
    fuzzed: tuple[Gateway, Engine], hostile: Gateway, path: str, headers: tuple[str, ...]
) -> None:
    before = fuzzed[1].paths()
    head = "\r\n".join([f"POST {path} HTTP/1.1", "Host: g", AUTH, *headers, "", ""])
    (status,) = judge(say(hostile, head.encode("latin-1") + CHUNKED + HIDDEN))
    assert status in (400, 501)
    after = fuzzed[1].paths()
    assert {asked for asked in after if after[asked] != before.get(asked, 0)} <= POLLED


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/api/chat"])
def test_p64_a_hundred_thousand_headers(hostile: Gateway, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: g\r\n{AUTH}\r\n".encode()
    statuses = judge(say(hostile, head + b"X: y\r\n" * 100_000 + b"Content-Length: 2\r\n\r\n{}"))
    assert statuses in ([431], [])


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/api/chat"])
def test_p64_a_head_and_a_body_that_do_not_come(hostile: Gateway, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: g\r\n{AUTH}\r\n".encode()
    assert judge(say(hostile, head)) == [408]
    assert judge(say(hostile, head + b"Content-Length: 50\r\n\r\n{")) == [408]
    assert judge(say(hostile, head + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel")) == [408]
