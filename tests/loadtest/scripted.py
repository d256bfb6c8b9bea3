"""A server that says exactly these bytes, then closes or keeps silent: for faults no engine shows on demand."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nConnection: close\r\n\r\n"
MODELS = b'{"object":"list","data":[{"id":"tiny","object":"model"}]}'
SILENCE = b"<silence>"


def json_answer(status: str, body: bytes, extra: bytes = b"") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n".encode()
    return head + extra + b"Connection: close\r\n\r\n" + body


@contextmanager
def scripted(*script: bytes) -> Iterator[str]:
    """Base URL of a server that answers each connection with the script, one write each; SILENCE keeps it open."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.1)
    over = threading.Event()
    thread = threading.Thread(target=_serve, args=(listener, script, over))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        over.set()
        thread.join()
        listener.close()


def _serve(listener: socket.socket, script: Sequence[bytes], over: threading.Event) -> None:
    while not over.is_set():
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            continue
        with connection:
            connection.settimeout(2)
            _answer(connection, script, over)


def _answer(connection: socket.socket, script: Sequence[bytes], over: threading.Event) -> None:
    try:
        connection.recv(65536)
        for part in script:
            if part == SILENCE:
                over.wait(2)
            else:
                connection.sendall(part)
    except OSError:
        return
