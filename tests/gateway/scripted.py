"""Engines that speak raw bytes: well in every respect, but for what a script does with each chat."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable

MODELS = b'{"data":[{"id":"tiny"}]}'
ANSWER = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":"stop"}]}'


def whole(status: bytes, body: bytes, kind: bytes = b"application/json", *headers: bytes) -> bytes:
    """A response with a length. ``headers``: further lines, each with its CRLF."""
    head = b"HTTP/1.1 %b X\r\ncontent-type: %b\r\ncontent-length: %d\r\n%b\r\n"
    return head % (status, kind, len(body), b"".join(headers)) + body


class Scripted:
    """One engine in threads of this process.

    ``chat`` gets the connection and the bytes of each request for tokens (canaries are answered by the engine itself);
    it answers, or not. True from it closes the connection. ``after``: called after every other answer, in the same way.
    ``metrics``: what it says of itself. ``chats``: the requests for tokens that have come.
    """

    def __init__(
        self,
        chat: Callable[[Scripted, socket.socket, bytes], object],
        after: Callable[[Scripted, socket.socket, bytes], object] = lambda *_: False,
        metrics: bytes = b"{}",
    ) -> None:
        self.chats: list[bytes] = []
        self._chat = chat
        self._after = after
        self._pages = {b"/v1/models": MODELS, b"/metrics": metrics}
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def die(self, *_: object) -> None:
        """As a process that is killed: nobody listens any more, and its kernel ends every connection."""
        # shutdown() ends the accept() that waits in its thread; close() alone would leave the port open.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                # Wakes the thread that reads from it without a word to the peer. The close says what a kernel says of a
                # process that has gone: a reset where something was not read, which an end of the stream before it
                # would hide.
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RD)
                    connection.close()
            self._open.clear()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with self._lock:
                    self._open.add(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            waiting = b""
            while True:
                request, waiting = _one_request(connection, waiting)
                if not request or self._answer(connection, request):
                    break
        with self._lock:
            self._open.discard(connection)

    def _answer(self, connection: socket.socket, request: bytes) -> object:
        path = request.split(b" ", 2)[1]
        if b'"prompt":"1"' not in request and request.startswith(b"POST"):
            self.chats.append(request)
            return self._chat(self, connection, request)
        connection.sendall(whole(b"200", self._pages.get(path, b"{}")))
        return self._after(self, connection, request)


def _one_request(connection: socket.socket, data: bytes) -> tuple[bytes, bytes]:
    """A whole request, and what came after it; empty at the end."""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return b"", b""
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    while len(rest) < length:
        rest += connection.recv(65536)
    return head + b"\r\n\r\n" + rest[:length], rest[length:]


def answer(_: Scripted, connection: socket.socket, __: bytes) -> None:
    """Answer as an engine that is well."""
    connection.sendall(whole(b"200", ANSWER))


def say(data: bytes) -> Callable[[Scripted, socket.socket, bytes], None]:
    """Answer with these bytes."""

    def chat(_: Scripted, connection: socket.socket, __: bytes) -> None:
        connection.sendall(data)

    return chat


def die_after(seconds: float, first: bytes = b"") -> Callable[[Scripted, socket.socket, bytes], None]:
    """Work for so long, then die; ``first`` is written at once."""

    def chat(engine: Scripted, connection: socket.socket, _: bytes) -> None:
        if first:
            connection.sendall(first)
        time.sleep(seconds)
        engine.die()

    return chat
