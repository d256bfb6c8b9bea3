"""Engines that end while requests come: who is asked again, and who is not."""

from __future__ import annotations

import http.client
import re
import socketserver
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.gateway.engines.watched import URL, wait_all_up
from tests.gateway.harness import (
    KEY,
    Gateway,
    chat,
    chat_bytes,
    error_of,
    wait_until,
)
from tests.gateway.proxy.dispatching import POLLING, StartEngine, StartGateway


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
