"""A server whose answers come in parts with pauses between: what an event stream is made of, at known moments."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.loadtest.scripted import MODELS

# Of a request's body: (seconds to wait, bytes to send), or a status to refuse it with.
Script = Callable[[dict[str, Any]], Iterable[tuple[float, bytes]] | int]


@contextmanager
def paced(script: Script, asked: list[dict[str, Any]] | None = None) -> Iterator[str]:
    """Its address. `asked` gets the bodies of all requests."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._begin(200, "application/json")
            self.wfile.write(MODELS)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if asked is not None:
                asked.append(body)
            parts = script(body)
            if isinstance(parts, int):
                self._begin(parts, "application/json")
                self.wfile.write(b'{"error": {"message": "unknown field"}}')
                return
            self._begin(200, "text/event-stream")
            try:
                for seconds, part in parts:
                    if over.wait(seconds):
                        return
                    self.wfile.write(part)
            except OSError:
                return  # the client has gone

        def _begin(self, status: int, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Connection", "close")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    over = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        over.set()
        time.sleep(0.05)
        server.shutdown()
        thread.join()
        server.server_close()
