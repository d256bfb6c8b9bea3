"""Warm connections to engines."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable

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
