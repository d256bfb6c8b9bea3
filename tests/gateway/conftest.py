from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.gateway.far_boxes import Authority, Boxes
from tests.gateway.harness import Engine, Gateway, Process
from tests.gateway.keys.postgreses import Postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    with Postgres() as found:
        yield found


@pytest.fixture
def postgres(postgres_server: Postgres) -> Postgres:
    """The running server; each test takes a database of its own."""
    return postgres_server


@pytest.fixture(scope="session")
def shared_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = Engine(tmp_path_factory.mktemp("engine"))
    yield engine
    engine.stop()


@pytest.fixture(scope="session")
def shared_gateway(shared_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path_factory.mktemp("gateway"), [shared_engine.url])
    gateway.wait_up()
    yield gateway
    gateway.stop()


@pytest.fixture
def engine(shared_engine: Engine) -> Iterator[Engine]:
    """One well-behaved engine; a test may turn its knobs, they are put back afterwards."""
    yield shared_engine
    shared_engine.turn(fault="none", ttft_ms=20, itl_ms=5, tokens=16, token_chars=5, answer="text")


@pytest.fixture
def gateway(shared_gateway: Gateway, engine: Engine) -> Gateway:  # noqa: ARG001 - the knobs are put back
    shared_gateway.wait_up()  # a fault of the test before may have put the engine out
    return shared_gateway


@pytest.fixture
def client(gateway: Gateway) -> Iterator[httpx.Client]:
    with gateway.client() as client:
        yield client


@pytest.fixture
def start_engine(tmp_path: Path) -> Iterator[Callable[..., Engine]]:
    """Starts engines of the test's own."""
    started: list[Process] = []

    def start(**knobs: Any) -> Engine:
        engine = Engine(tmp_path, **knobs)
        started.append(engine)
        return engine

    yield start
    for process in started:
        process.stop()


@pytest.fixture
def start_gateway(tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    """Starts gateways of the test's own: ``start(engine_urls, limits={...})``."""
    started: list[Process] = []

    def start(engine_urls: list[str], **settings: Any) -> Gateway:
        gateway = Gateway(tmp_path, engine_urls, **settings)
        started.append(gateway)
        return gateway

    yield start
    for process in started:
        process.stop()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Where the test's gateway keeps keys and usage."""
    return tmp_path / "store"


@pytest.fixture
def gateway_with_store(start_gateway: Callable[..., Gateway], engine: Engine, store: Path) -> Gateway:
    gateway = start_gateway([engine.url], store=str(store))
    gateway.wait_up()
    return gateway


@pytest.fixture
def recording_engine() -> Iterator[tuple[str, list[bytes]]]:
    """An engine that lists the model, keeps every request's bytes, and answers all else with an empty object."""
    seen: list[bytes] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while data := self.request.recv(65536):
                seen.append(data)
                body = b'{"data":[{"id":"tiny"}]}' if b"/v1/models" in data else b"{}"
                head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
                self.request.sendall(head % len(body) + body)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", seen
        server.shutdown()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def boxes(
    tmp_path: Path, start_gateway: Callable[..., Gateway], start_engine: Callable[..., Engine], authority: Authority
) -> Iterator[Boxes]:
    made = Boxes(tmp_path, start_gateway, start_engine(ttft_ms=20, itl_ms=5, tokens=16), authority)
    yield made
    made.front.stop()
