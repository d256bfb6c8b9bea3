"""Warm connections to engines."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable

from gateway.core.errors import How
from gateway.http.client import EngineConnection, Head, Pool
from tests.gateway.harness import Engine, Gateway, Raw, chat, chat_bytes, post_bytes, wait_until

URL = "/v1/chat/completions"


def test_p33_warm_connections_are_used_again_and_old_ones_are_not(
    start_gateway: Callable[..., Gateway], start_engine: Callable[..., Engine]
) -> None:
    engine = start_engine()
    gateway = start_gateway([engine.url], polling={"health_interval_s": 60, "resolve_interval_s": 60})
    gateway.wait_up()
    for stream in (True, False):
        before = engine.state()["accepted"]
        with gateway.client() as client:
            for _ in range(20):
                assert client.post(URL, json=chat(stream, max_tokens=1)).status_code == 200
        # One connection is the gateway's at most, one the question's own.
        assert engine.state()["accepted"] - before <= 2
    assert engine.state()["connections"] >= 2
    wait_until(lambda: engine.state()["connections"] == 1, 4.7, "the idle connection closed before vLLM would")


def test_p33_a_connection_is_never_cut_for_the_request_before(gateway: Gateway, engine: Engine) -> None:
    """Short answers in quick succession: a connection goes to the next request in the instant it is free."""
    engine.turn(ttft_ms=1)
    body = chat_bytes(max_tokens=1)
    data = post_bytes(body, f"Content-Length: {len(body)}")

    def many(_: int) -> int:
        with Raw(gateway.port) as raw:
            for _ in range(100):
                raw.send(data)
                raw.read_until(b"}}")
        return 100

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(many, range(16))) == 1600


class Kept:
    """A receiver that keeps what it is given."""

    def __init__(self) -> None:
        self.heads: list[Head] = []
        self.body = b""
        self.ended = False

    def on_head(self, head: Head) -> None:
        self.heads.append(head)

    def on_data(self, data: bytes) -> None:
        self.body += data

    def on_end(self) -> None:
        self.ended = True

    def on_lost(self, why: str, how: How) -> None:
        raise AssertionError(why, how)


class Open(asyncio.Transport):
    """A transport that takes all and never closes."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def resume_reading(self) -> None:
        pass


async def test_what_stands_behind_a_body_changes_nothing_of_its_head() -> None:
    connection = EngineConnection(Pool("127.0.0.1", 1, asyncio.get_running_loop()))
    connection.connection_made(Open())
    for _ in range(2):  # the next answer's head is read again
        kept = Kept()
        connection.request(kept, b"", 0.0)
        connection.data_received(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            b"5\r\nhello\r\n0\r\ncontent-type: application/json\r\nretry-after: 7\r\n\r\n"
        )
        (head,) = kept.heads
        assert (head.status, head.events, head.retry_after, kept.body, kept.ended) == (200, True, b"", b"hello", True)
