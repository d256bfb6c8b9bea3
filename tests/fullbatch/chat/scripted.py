"""A server of OpenAI's API that says what a test has written down, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}


def delta(**words: str) -> dict[str, Any]:
    return {"model": "m", "choices": [{"index": 0, "delta": words, "finish_reason": None}]}


def end(reason: str = "stop") -> list[dict[str, Any]]:
    return [
        {"model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
        {"model": "m", "choices": [], "usage": USAGE},
    ]


def text(*pieces: str) -> list[dict[str, Any]]:
    return [*(delta(content=piece) for piece in pieces), *end()]


class Script(ThreadingHTTPServer):
    """`answers`: events of a stream, or (status, body, headers), one for each question; the last one stays.

    `pause_s`: before each event; `done`: whether streams end with their mark.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.answers: list[Any] = [text("Hello", " there")]
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.models: Any = {"data": [{"id": "m"}, {"id": "other"}]}
        self.aliases = {"alias"}
        self.pause_s = 0.0
        self.done = True
        self.left = threading.Event()

    def next(self) -> Any:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Script

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.server.keys.append(self.headers["Authorization"])
        name = self.path.removeprefix("/v1/models").strip("/")
        status = 200 if not name or name in self.server.aliases else 404
        self._whole(status, json.dumps(self.server.models if not name else {}), {})

    def do_POST(self) -> None:
        self.server.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        answer = self.server.next()
        if isinstance(answer, tuple):
            self._whole(*answer)
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for event in answer:
                time.sleep(self.server.pause_s)
                self._chunk(event if isinstance(event, bytes) else b"data: %s\n\n" % json.dumps(event).encode())
            if self.server.done:
                self._chunk(b"data: [DONE]\n\n")
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.server.left.set()

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def _whole(self, status: int, body: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body.encode()))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())


@contextmanager
def scripted() -> Iterator[Script]:
    with Script() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
