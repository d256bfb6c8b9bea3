"""How an answer is framed."""

from __future__ import annotations

from tests.gateway.harness import Gateway, Raw, chat_bytes, post_bytes


def test_p30_expect_100_continue(gateway: Gateway) -> None:
    body = chat_bytes(max_tokens=1)
    with Raw(gateway.port) as raw:
        raw.send(post_bytes(b"", f"Content-Length: {len(body)}", "Expect: 100-continue", "Connection: close"))
        assert raw.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        raw.send(body)
        assert raw.read_to_close().startswith(b"HTTP/1.1 200 ")


BODY = chat_bytes(max_tokens=1)


def test_p32_an_http_1_0_client_gets_a_stream_without_chunks(gateway: Gateway) -> None:
    body = chat_bytes(stream=True, max_tokens=2)
    data = post_bytes(body, f"Content-Length: {len(body)}").replace(b"HTTP/1.1", b"HTTP/1.0")
    with Raw(gateway.port) as raw:
        raw.send(data)
        head, _, rest = raw.read_to_close().partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head
    assert rest.startswith(b"data: {") and rest.endswith(b"data: [DONE]\n\n")
