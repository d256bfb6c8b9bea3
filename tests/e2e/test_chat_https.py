"""The chat behind HTTPS: real Caddy with the rendered Caddyfile, and a stand-in for Open WebUI with its WebSocket.

That Open WebUI takes the settings of compose.yaml was read in its source; it does not run here.
"""

from __future__ import annotations

import base64
import hashlib
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from tests.e2e.caddy import Caddy
from tests.ports import free_port
from tests.waiting import wait_for

# As Open WebUI's pages ask for it; the answer to a key is that of RFC 6455.
ASKED = (
    "GET /ws/socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {host}\r\nOrigin: https://{host}\r\n"
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
)
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


class StandIn(BaseHTTPRequestHandler):
    """Says what it was asked with, streams, and gives each WebSocket's bytes back with an `=` before them."""

    protocol_version = "HTTP/1.1"
    # Set by the test once it has the first event of a stream.
    seen = threading.Event()

    def do_GET(self) -> None:
        if self.headers.get("Upgrade") == "websocket":
            self._socket()
        elif self.path == "/stream":
            self._stream()
        else:
            self._say(f"{self.headers['Host']} {self.headers['X-Forwarded-Proto']}".encode())

    def do_POST(self) -> None:
        self._say(str(len(self.rfile.read(int(self.headers["Content-Length"])))).encode())

    def _say(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Set-Cookie", "token=1; HttpOnly; Secure")
        self.end_headers()
        self.wfile.write(body)

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"data: 1\n\n")
        self.wfile.write(b"data: 2\n\n" if self.seen.wait(20) else b"data: the first one was held back\n\n")
        self.close_connection = True

    def _socket(self) -> None:
        whole = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(whole.encode()).digest()).decode())
        self.send_header("X-Asked", f"{self.path} {self.headers['Origin']}")
        self.end_headers()
        while said := self.connection.recv(1000):
            self.connection.sendall(b"=" + said)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def caddy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caddy]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    chat = f"127.0.0.1:{server.server_port}"
    caddy = Caddy(
        tmp_path_factory.mktemp("caddy"), free_port(), FULLBATCH_CHAT=chat, FULLBATCH_HOSTS="localhost, box.local"
    )
    wait_for(lambda: _has(caddy, "box.local"), 20, "a certificate for the second name")
    yield caddy
    caddy.stop()
    server.shutdown()
    thread.join()
    server.server_close()


def _has(caddy: Caddy, name: str) -> bool:
    with socket.create_connection(("127.0.0.1", caddy.chat_port), 10) as plain:
        with caddy.context().wrap_socket(plain, server_hostname=name):
            return True


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_the_chat_has_every_name_of_the_gateway_and_the_same_ca(caddy: Caddy, name: str) -> None:
    host = f"{name}:{caddy.chat_port}"
    answer = httpx.get(f"https://{host}/", verify=caddy.context())
    assert (answer.status_code, answer.text) == (200, f"{host} https")
    assert "Secure" in answer.headers["set-cookie"]


def test_a_name_that_is_not_its_own_gets_no_certificate(caddy: Caddy) -> None:
    with socket.create_connection(("127.0.0.1", caddy.chat_port), 10) as plain, pytest.raises(ssl.SSLError):
        caddy.context().wrap_socket(plain, server_hostname="elsewhere.example")


@pytest.mark.parametrize("name", ["localhost", "box.local"])
def test_its_websocket_passes_both_ways(caddy: Caddy, name: str) -> None:
    host = f"{name}:{caddy.chat_port}"
    with socket.create_connection(("127.0.0.1", caddy.chat_port), 10) as plain:
        with caddy.context().wrap_socket(plain, server_hostname=name) as sock:
            sock.sendall(ASKED.format(host=host, key=KEY).encode())
            head = b""
            while b"\r\n\r\n" not in head:
                head += sock.recv(4096)
            assert head.startswith(b"HTTP/1.1 101 ")
            assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head, "the answer to its key"
            assert f"/ws/socket.io/?EIO=4&transport=websocket https://{host}".encode() in head
            for said in (b"\x81\x05hello", b"\x81\x02hi"):
                sock.sendall(said)
                assert sock.recv(100) == b"=" + said


def test_an_answer_streams_event_by_event(caddy: Caddy) -> None:
    StandIn.seen.clear()
    url = f"https://localhost:{caddy.chat_port}/stream"
    with httpx.stream("GET", url, verify=caddy.context(), timeout=60) as answer:
        pieces = answer.iter_bytes()
        assert next(pieces) == b"data: 1\n\n"
        StandIn.seen.set()
        assert next(pieces) == b"data: 2\n\n"


def test_a_large_upload_passes(caddy: Caddy) -> None:
    url = f"https://localhost:{caddy.chat_port}/api/v1/files/"
    assert httpx.post(url, content=b"x" * 20 * 2**20, verify=caddy.context(), timeout=60).text == str(20 * 2**20)


def test_where_no_chat_runs_a_line_says_how_to_start_it(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    caddy = Caddy(tmp_path / "data", free_port(), FULLBATCH_CHAT=f"127.0.0.1:{free_port()}")
    try:
        answer = httpx.get(f"https://localhost:{caddy.chat_port}/", verify=caddy.context(), timeout=60)
        assert answer.status_code == 502
        assert "Is it started? docker compose --profile chat --profile tls up" in answer.text
    finally:
        caddy.stop()
