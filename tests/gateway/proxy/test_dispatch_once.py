"""What may have broken an engine is sent to none again; and what breaks without its doing costs it nothing."""

from __future__ import annotations

import random
import resource
import socket
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from gateway.http.client import STALE_S
from tests.gateway.engines.watched import URL, wait_all_up
from tests.gateway.harness import (
    Raw,
    chat,
    chat_bytes,
    error_of,
    post_bytes,
    wait_until,
)
from tests.gateway.proxy.dispatching import POLLING, RARELY, StartEngine, StartGateway
from tests.gateway.scripted import Scripted, answer, die_after

HALF_STATUS, HEAD = b"HTTP/1.1 20", b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n"
KINDS = [
    *((seconds, first, 2, True) for seconds in (0.0, 0.2, 2.0) for first in (b"", HALF_STATUS, HEAD)),
    *((seconds, b"", 1, True) for seconds in (0.0, 0.2, 2.0)),
    *((0.2, first, engines, False) for engines in (1, 2) for first in (b"", HALF_STATUS)),
]


@pytest.mark.parametrize(("seconds", "first", "engines", "kept"), KINDS)
def test_p140_what_may_have_broken_an_engine_is_never_sent_again(
    start_gateway: StartGateway, seconds: float, first: bytes, engines: int, kept: bool
) -> None:
    """The engine's process ends while it works on a request."""
    started = [Scripted(die_after(seconds, first)) for _ in range(engines)]
    often = POLLING | {"canary_interval_s": 0}
    gateway = start_gateway([engine.url for engine in started], polling=often if kept else often | RARELY)
    wait_all_up(gateway, engines)
    if not kept:
        time.sleep(4.2)  # the connections kept since the polls are too old by then
    with gateway.client() as client:
        refused = client.post(URL, json=chat())
    assert refused.status_code == 502 and error_of(refused)["code"] == "engine_broken"
    assert sum(len(engine.chats) for engine in started) == 1


def test_p140_an_engine_that_ends_by_itself_costs_nothing(start_gateway: StartGateway) -> None:
    """Its kept connections end while requests are on their way to it, and nobody listens any more."""

    def leave(engine: Scripted, connection: socket.socket, request: bytes) -> None:
        answer(engine, connection, request)
        engine.die()

    staying = Scripted(answer)
    for _ in range(12):
        # Closes its port and, a moment after the answer, its connections: the next request finds them closing.
        leaving = Scripted(leave)
        gateway = start_gateway([leaving.url, staying.url], polling=POLLING | RARELY | {"canary_interval_s": 0})
        wait_all_up(gateway, 2)
        with gateway.client() as client:
            assert [client.post(URL, json=chat()).status_code for _ in range(6)] == [200] * 6


def test_p140_a_connection_that_closes_after_each_answer_costs_nothing(start_gateway: StartGateway) -> None:
    """Every answer is followed by a close 0 to 4 ms later that was not announced; so is every poll's."""
    pauses = random.Random(1)

    late = 0  # on a machine that is too busy a close may come so late that it looks like one out of work

    def close(*_: object) -> bool:
        nonlocal late
        began = time.monotonic()
        time.sleep(pauses.random() * 0.004)
        late += time.monotonic() - began > STALE_S / 2
        return True

    def chatting(engine: Scripted, connection: socket.socket, request: bytes) -> bool:
        answer(engine, connection, request)
        return close()

    engine = Scripted(chatting, after=close)
    gateway = start_gateway([engine.url], polling=POLLING | {"health_interval_s": 0.05, "canary_interval_s": 0.1})
    gateway.wait_up()
    codes: Counter[int] = Counter()
    health: Counter[int] = Counter()
    with gateway.client() as client:
        for number in range(300):
            codes[client.post(URL, json=chat()).status_code] += 1
            if number % 10 == 0:
                health[client.get("/health").status_code] += 1
    assert codes[200] + codes[502] == 300 and codes[502] <= late and set(health) == {200}


def test_p141_no_file_left_for_a_connection_is_no_fault_of_the_engine(
    start_engine: StartEngine, start_gateway: StartGateway
) -> None:
    engine = start_engine(ttft_ms=300)
    gateway = start_gateway([engine.url], polling=POLLING | RARELY | {"canary_interval_s": 0})
    gateway.wait_up()
    body = chat_bytes(max_tokens=1)
    with ExitStack() as stack:
        raws = [stack.enter_context(Raw(gateway.port)) for _ in range(16)]
        wait_until(lambda: gateway.metric("gateway_connections") >= 16, 5, "all there")
        used = len(list(Path(f"/proc/{gateway.pid}/fd").iterdir()))
        resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, (used + 3, used + 3))
        for raw in raws:
            raw.send(post_bytes(body, f"Content-Length: {len(body)}"))
        codes = Counter(raw.read_until(b"\r\n\r\n").split(b" ")[1] for raw in raws)
        assert set(codes) == {b"200", b"503"}, codes
    assert gateway.is_up()
