"""Heads and chunks as bytes."""

from __future__ import annotations

import pytest

from gateway.http.messages import Request, chunk, response_head


@pytest.mark.parametrize(
    ("version", "length", "framing"),
    [("1.1", 5, b"content-length: 5"), ("1.1", None, b"transfer-encoding: chunked"), ("1.0", None, None)],
)
def test_a_head_has_one_framing(version: str, length: int | None, framing: bytes | None) -> None:
    request = Request("req-1", 0.0)
    request.version = version
    head = response_head(200, b"text/plain", request, length, True, b"retry-after: 1\r\n")
    lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 200 OK"
    found = [line for line in lines if line.startswith((b"content-length", b"transfer-encoding"))]
    assert found == ([framing] if framing else [])
    assert {b"content-type: text/plain", b"x-request-id: req-1", b"retry-after: 1"} < set(lines)


def test_a_chunk_says_its_length_in_hex() -> None:
    assert chunk(b"x" * 31) == b"1f\r\n" + b"x" * 31 + b"\r\n"


def test_the_path_is_raw_and_without_the_query() -> None:
    request = Request("req-1", 0.0)
    request.target = b"/v1/%6Dodels?a=/b?c"
    assert request.path == b"/v1/%6Dodels"
