"""What an engine sends besides tokens, and answers that are none."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.gateway.harness import Engine, Gateway, Raw, chat, chat_bytes, error_of, post_bytes
from tests.gateway.scripted import Scripted
from tests.gateway.test_poller import URL
from tests.gateway.test_proxy import events_of, outcome_count

StartEngine = Callable[..., Engine]
StartGateway = Callable[..., Gateway]
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
COMMENT = b": keep-alive\n\n"
PING = b'event: ping\ndata: {"type": "ping"}\n\n'
TOKEN = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def streaming(*first: bytes, then: bytes, every_s: float = 0.2) -> Callable[[Scripted, socket.socket, bytes], object]:
    """Write ``first`` at once, then ``then`` for ever."""

    def chat(_: Scripted, connection: socket.socket, __: bytes) -> object:
        connection.sendall(STREAM_HEAD + b"".join(map(chunked, first)))
        while True:
            time.sleep(every_s)
            connection.sendall(chunked(then))

    return chat


def ask(gateway: Gateway, path: str = URL) -> tuple[bytes, bytes, float]:
    """Head and body (without chunks) of a stream, and how long it took."""
    body, began = chat_bytes(True, max_tokens=50), time.monotonic()
    with Raw(gateway.port, timeout_s=20) as raw:
        raw.send(post_bytes(body, f"Content-Length: {len(body)}", path=path))
        head, _, rest = raw.read_until(b"\r\n0\r\n\r\n").partition(b"\r\n\r\n")
    found = b""
    while rest and rest != b"0\r\n\r\n":
        size, _, rest = rest.partition(b"\r\n")
        found, rest = found + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return head, found, time.monotonic() - began


@pytest.mark.parametrize("nothing", [COMMENT, PING], ids=["comment", "ping"])
@pytest.mark.parametrize("begun", [False, True], ids=["before the first token", "within"])
def test_p143_what_keeps_a_stream_alive_does_not_extend_its_limits(
    start_gateway: StartGateway, nothing: bytes, begun: bool
) -> None:
    engine = Scripted(streaming(*([TOKEN] if begun else []), then=nothing))
    limits = {"first_token_timeout_s": 20, "idle_timeout_s": 1} if begun else {"first_token_timeout_s": 1}
    gateway = start_gateway([engine.url], limits=limits)
    gateway.wait_up()
    head, body, took = ask(gateway, "/v1/messages" if nothing == PING else URL)
    assert head.startswith(b"HTTP/1.1 200 ") and took < 5
    # They passed unchanged, and the failure is told in an event: the head was sent with the first of them.
    assert body.startswith(TOKEN + nothing if begun else nothing) and b"sent no token for 1 s" in body
    assert outcome_count(gateway, "engine_timeout") == 1
    assert gateway.metric("gateway_time_to_first_token_seconds_count") == (1 if begun else 0)
    assert gateway.metric("gateway_tokens_total", kind="completion") == (1 if begun else 0)
    assert len(engine.chats) == 1


@pytest.mark.parametrize("answer", [b"", b" \n \n"], ids=["head alone", "blanks"])
def test_p143_nor_do_a_head_or_blanks_of_a_whole_answer(start_gateway: StartGateway, answer: bytes) -> None:
    def chatting(_: Scripted, connection: socket.socket, __: bytes) -> object:
        connection.sendall(STREAM_HEAD.replace(b"text/event-stream", b"application/json"))
        for _number in range(100):
            time.sleep(0.2)
            if answer:
                connection.sendall(chunked(answer))
        return True

    engine = Scripted(chatting)
    gateway = start_gateway([engine.url], limits={"first_token_timeout_s": 1})
    gateway.wait_up()
    with gateway.client() as client:
        silent = client.post(URL, json=chat())
    assert (silent.status_code, error_of(silent)["code"]) == (504, "engine_silent")


def test_p143_a_stream_with_comments_is_whole(start_engine: StartEngine, start_gateway: StartGateway) -> None:
    engine = start_engine(sse_keep_alive_s=0.02, ttft_ms=300, itl_ms=50, tokens=6)
    gateway = start_gateway([engine.url])
    gateway.wait_up()
    _, body, _ = ask(gateway)
    assert body.count(COMMENT) > 5 and body.startswith(COMMENT)
    events: list[Any] = events_of(body.replace(COMMENT, b""))
    assert events[-1] == "[DONE]" and outcome_count(gateway, "ok") == 1
    # The first token came after 300 ms; the first comment after 20.
    assert gateway.metric("gateway_time_to_first_token_seconds_sum") > 0.25
    line = json.loads(gateway.stdout().splitlines()[-1])
    assert line["ttft_ms"] > 250 and line["exact"]
