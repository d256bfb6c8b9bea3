"""A server with moods: what no fake engine does, request by request, over real HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.loadtest.answers import DONE, event, usage
from tests.loadtest.scripted import MODELS

# Of the request's number (from 0, probes and warm-ups too) and its body: status, further headers, content.
Mood = Callable[[int, dict[str, Any]], tuple[int, dict[str, str], bytes]]


def good(body: dict[str, Any], tokens: int | None = None, with_usage: bool = True) -> tuple[int, dict[str, str], bytes]:
    """A whole stream of so many tokens, by default as many as were asked for."""
    count = body["max_tokens"] if tokens is None else tokens
    texts = [event("a") for _ in range(count - 1)] + [event("z", "length")]
    end = usage(20, count) if with_usage else b""
    return 200, {}, event("") + b"".join(texts) + end + DONE


def refused(seconds: float | None) -> tuple[int, dict[str, str], bytes]:
    """429, with or without a time to come back."""
    headers = {} if seconds is None else {"Retry-After": f"{seconds:g}"}
    return 429, headers, b'{"error": {"message": "too many"}}'


@contextmanager
def moody(mood: Mood) -> Iterator[str]:
    """Its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._say(200, {}, "application/json", MODELS)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                number = next(numbers)
            status, headers, content = mood(number, body)
            kind = "text/event-stream" if status == 200 else "application/json"
            self._say(status, headers, kind, content)

        def _say(self, status: int, headers: dict[str, str], kind: str, content: bytes) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Type": kind, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    lock, numbers = threading.Lock(), iter(range(1_000_000))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
