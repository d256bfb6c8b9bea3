"""A pull that gets on, one that is refused, and those that stand still: against a Docker Engine of the test's own."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from fullbatch.core.errors import HostError
from fullbatch.runtime.compose import pulling

LAYER = {"id": "a1", "status": "Downloading", "progressDetail": {"current": 1, "total": 9}}


class Engine:
    """Tells `events`, then the last one again and again where it is to `repeat`, and holds the line while it is to."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.status, self.holds, self.repeats = 200, False, False
        self.asked = ""
        self.over = threading.Event()


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    made = Engine()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(200, json.dumps({"ApiVersion": "1.44"}).encode())

        def do_POST(self) -> None:
            made.asked = self.path
            if made.status != 200:
                self._answer(made.status, json.dumps({"message": "pull access denied for e"}).encode())
                return
            self.send_response(200)
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for event in made.events:
                self._tell(event)
            while made.holds and not made.over.wait(0.05):
                if made.repeats:
                    self._tell(made.events[-1])
            self.wfile.write(b"0\r\n\r\n")

        def _tell(self, event: dict[str, Any]) -> None:
            line = json.dumps(event).encode() + b"\r\n"
            self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.server_address[1]}")
        monkeypatch.delenv("DOCKER_TLS_VERIFY", raising=False)
        yield made
        made.over.set()
        server.shutdown()
        thread.join()


def test_one_that_gets_on(engine: Engine) -> None:
    engine.events = [LAYER, {"status": "Status: Downloaded newer image"}]
    pulling.pull("host:5000/e:2")
    assert "fromImage=host%3A5000%2Fe" in engine.asked and "tag=2" in engine.asked


def _refused(engine: Engine) -> None:
    engine.status = 404


def _failed(engine: Engine) -> None:
    engine.events = [LAYER, {"error": "no space left on device", "errorDetail": {}}]


@pytest.mark.parametrize(
    ("prepare", "why"), [(_refused, "pull access denied for e"), (_failed, "no space left on device")]
)
def test_what_docker_says_against_it(engine: Engine, prepare: Callable[[Engine], None], why: str) -> None:
    prepare(engine)
    with pytest.raises(HostError) as told:
        pulling.pull("e:2")
    assert str(told.value) == why


@pytest.mark.parametrize("repeats", [False, True], ids=["silent", "tells the same"])
def test_one_that_stands_still_ends(engine: Engine, repeats: bool) -> None:
    engine.events, engine.holds, engine.repeats = [LAYER], True, repeats
    with pytest.raises(
        HostError, match=r"nothing new has come for 1 s \(Downloading a1\); look at the network and the disk"
    ):
        pulling.pull("e:2", still_seconds=1.0)


def test_without_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    with pytest.raises(HostError, match="look at `docker info`"):
        pulling.pull("e:2")
