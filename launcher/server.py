"""HTTP/1.1 with JSON on a Unix socket: the state of the card, and actions on its models by name."""

from __future__ import annotations

import http.client
import json
import os
import socket
import socketserver
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from launcher.card import CardLauncher, Refused, Unknown
from launcher.lease import LEASE_S, OWNER, Lease

PROBE_S = 5.0
_MAX_BODY = 64 * 1024


class LauncherServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Listens from the start; whoever is of its owner's group may ask."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, path: Path, card: CardLauncher) -> None:
        self.card = card
        self.lease = Lease()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # the lock says that nobody is behind it
        before = os.umask(0o117)
        try:
            super().__init__(str(path), Handler)
        finally:
            os.umask(before)


class Handler(BaseHTTPRequestHandler):
    """One caller."""

    protocol_version = "HTTP/1.1"
    timeout = 60
    server: LauncherServer

    def do_GET(self) -> None:
        self._read_body()
        owner = self.headers.get(OWNER, "")
        self.server.lease.see(owner)
        if self.path == "/state":
            self._send(200, self.server.card.state() | {"another": self.server.lease.of_another(owner)})
        else:
            self._send(404, {"why": "there are GET /state and POST /models/NAME/start, stop, sleep and wake"})

    def do_POST(self) -> None:
        if not self._read_body():
            return
        _, models, name, action = (*self.path.split("/"), "", "", "", "")[:4]
        if models != "models" or self.path.count("/") != 3:
            self._send(404, {"why": "there is POST /models/NAME/start, stop, sleep or wake"})
            return
        if not self.server.lease.take(self.headers.get(OWNER, "")):
            why = f"another gateway decides on this card; it is yours {LEASE_S:g} s after that one has ended"
            self._send(423, {"why": why})
            return
        try:
            self._send(202, {"state": self.server.card.ask(name, action)})
        except Unknown:
            self._send(404, {"why": f"no model '{name[:100]}' here, or no action '{action[:100]}'"})
        except Refused as refusal:
            self._send(409, {"why": str(refusal)})

    def _read_body(self) -> bool:
        """What is sent is not looked at: a caller names a model in the path, and that is all."""
        length = self.headers.get("content-length", "0")
        if not length.isdigit() or int(length) > _MAX_BODY or "transfer-encoding" in self.headers:
            self.close_connection = True
            self._send(413, {"why": "no body is needed"})
            return False
        self.rfile.read(int(length))
        return True

    def _send(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the gateway asks every second."""

    def address_string(self) -> str:
        return "socket"


def probe(path: str) -> bool:
    """Whether a launcher answers behind a socket."""
    connection = http.client.HTTPConnection("localhost", timeout=PROBE_S)
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.sock.settimeout(PROBE_S)
    try:
        connection.sock.connect(path)
        connection.request("GET", "/state")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
