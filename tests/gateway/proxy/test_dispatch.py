"""Engines that end while requests come: who is asked again, and who is not."""

from __future__ import annotations

import http.client
import random
import re
import resource
import socket
import socketserver
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gateway.http.client import STALE_S
from tests.gateway.engines.test_health_checker import URL, wait_all_up
from tests.gateway.harness import (
    KEY,
    Engine,
    Gateway,
    Raw,
    chat,
    chat_bytes,
    error_of,
    post_bytes,
    wait_until,
)
from tests.gateway.scripted import Scripted, answer, die_after

StartEngine = Callable[..., Engine]
StartGateway = Callable[..., Gateway]
POLLING = {"health_interval_s": 0.2, "frozen_after_s": 60.0}
RARELY = {"health_interval_s": 30.0}


def retries(gateway: Gateway) -> float:
    return sum(map(float, re.findall(r"^gateway_retries_total{.*} (.*)$", gateway.metrics(), re.MULTILINE)))


@pytest.fixture
def scripted() -> Iterator[Callable[[bytes], tuple[str, list[bytes]]]]:
    """Starts engines that are well in every respect, and answer each chat with the given bytes and a close."""
    servers: list[socketserver.ThreadingTCPServer] = []

    def start(answer: bytes) -> tuple[str, list[bytes]]:
        seen: list[bytes] = []

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                while data := self.request.recv(65536):
                    if b"/chat/" in data:
                        seen.append(data)
                        self.request.sendall(answer)
                        return
                    body = b'{"data":[{"id":"tiny"}]}' if b"/v1/models" in data else b"{}"
                    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
                    self.request.sendall(head % len(body) + body)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False

        server = Server(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}", seen

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def whole(status: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 %b X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
        status,
        len(body),
        body,
    )


@pytest.mark.parametrize("stream", [True, False])
def test_p93_what_a_draining_engine_refuses_another_one_answers(
    start_engine: StartEngine, start_gateway: StartGateway, stream: bool
) -> None:
    engines = [start_engine(), start_engine()]
    gateway = start_gateway([engine.url for engine in engines], polling=POLLING)
    wait_all_up(gateway, 2)
    engines[0].turn(fault="draining")
    with gateway.client() as client:
        for _ in range(6):
            assert client.post(URL, json=chat(stream)).status_code == 200
    # One was enough to know; the running ones of an engine that ends were never touched.
    assert retries(gateway) == 1


def test_p93_an_answer_that_an_ending_engine_gave_up_is_asked_for_anew(
    scripted: Callable[[bytes], tuple[str, list[bytes]]], start_engine: StartEngine, start_gateway: StartGateway
) -> None:
    aborted, seen = scripted(whole(b"200", b'{"choices":[{"index":0,"finish_reason":"abort"}]}'))
    gateway = start_gateway([aborted, start_engine().url], polling=POLLING)
    wait_all_up(gateway, 2)
    with gateway.client() as client:
        answers = [client.post(URL, json=chat()) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200] * 4
    assert all('"abort"' not in answer.text for answer in answers)
    assert len(seen) >= 1 and retries(gateway) == len(seen)


def test_p93_a_draining_engine_that_is_the_only_one_is_503(
    start_engine: StartEngine, start_gateway: StartGateway
) -> None:
    engine = start_engine()
    gateway = start_gateway([engine.url], polling=POLLING)
    gateway.wait_up()
    engine.turn(fault="draining")
    with gateway.client() as client:
        refused = client.post(URL, json=chat())
    assert refused.status_code == 503 and refused.headers["retry-after"]
    assert "it is ending" in error_of(refused)["message"]


@pytest.mark.parametrize(
    "answer",
    [
        whole(b"500", b'{"error":{"message":"Internal server error"}}'),
        whole(b"502", b"{}"),
        b"HTTP/1.1 200 OK\r\nconte",
    ],
    ids=["500", "502", "half a head"],
)
def test_p93_any_other_failure_is_not_asked_again(
    scripted: Callable[[bytes], tuple[str, list[bytes]]], start_gateway: StartGateway, answer: bytes
) -> None:
    one, other = scripted(answer), scripted(answer)
    gateway = start_gateway([one[0], other[0]], polling=POLLING | {"health_interval_s": 30.0})
    wait_all_up(gateway, 2)
    time.sleep(4.2)  # the connections kept since the polls are too old by then: this one is fresh
    with gateway.client() as client:
        assert client.post(URL, json=chat()).status_code == 502
    assert len(one[1]) + len(other[1]) == 1
    assert retries(gateway) == 0


def test_p94_retries_end_with_their_budget(
    scripted: Callable[[bytes], tuple[str, list[bytes]]], start_gateway: StartGateway
) -> None:
    draining = whole(b"500", b'{"error":{"message":"cannot schedule new futures after shutdown"}}')
    one, other = scripted(draining), scripted(draining)
    none = {"retry_share": 0, "retry_floor_per_s": 0}
    gateway = start_gateway([one[0], other[0]], polling=POLLING, routing=none)
    wait_all_up(gateway, 2)
    with gateway.client() as client:
        assert client.post(URL, json=chat()).status_code == 502
    assert len(one[1]) + len(other[1]) == 1


class Load:
    """Clients that ask all the time, without streams; ``codes`` counts what they got."""

    def __init__(self, port: int, clients: int) -> None:
        self.codes: Counter[int | str] = Counter()
        self._done = threading.Event()
        self._port = port
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join(30)

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
        while not self._done.is_set():
            try:
                connection.request("POST", URL, chat_bytes(max_tokens=6), headers)
                answer = connection.getresponse()
                answer.read()
                self.codes[answer.status] += 1
            except (OSError, http.client.HTTPException) as error:
                self.codes[repr(error)] += 1
                connection.close()
        connection.close()


def test_p95_a_rolling_restart_of_two_engines_loses_nothing(
    start_engine: StartEngine, start_gateway: StartGateway
) -> None:
    """Each ends as vLLM with --shutdown-timeout does: /health 200, new requests 500, the running finish."""
    knobs = {"shutdown_timeout_s": 10.0, "ttft_ms": 20, "itl_ms": 10}
    engines = [start_engine(**knobs), start_engine(**knobs)]
    gateway = start_gateway([engine.url for engine in engines], polling=POLLING)
    wait_all_up(gateway, 2)
    load = Load(gateway.port, 24)
    try:
        for engine in engines:
            time.sleep(1)
            port = int(engine.url.rpartition(":")[2])
            engine.terminate()
            assert engine.exit_code(20) == 0
            start_engine(port=port, **knobs)
            wait_all_up(gateway, 2)
        wait_until(lambda: load.codes.total() >= 2000, 90, "2,000 requests")
    finally:
        load.stop()
    assert dict(load.codes) == {200: load.codes.total()}
    assert load.codes.total() >= 2000


def test_p93_a_kept_connection_that_was_closing_costs_no_request(start_gateway: StartGateway) -> None:
    """One engine that closes each connection at its second request: the kept ones are all closing."""
    body = b'{"data":[{"id":"tiny"}]}'
    answered = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            first = True
            while data := self.request.recv(65536):
                if b"/chat/" in data and not first:
                    return
                if b"/chat/" in data:
                    answered.set()
                self.request.sendall(whole(b"200", body))
                first = False

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        gateway = start_gateway([f"http://127.0.0.1:{server.server_address[1]}"], polling=POLLING)
        gateway.wait_up()
        with gateway.client() as client:
            assert client.post(URL, json=chat()).status_code == 200
        assert answered.is_set() and retries(gateway) == 1
        server.shutdown()


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
