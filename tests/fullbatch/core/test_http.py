from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

import pytest

from fullbatch.core import http


@contextmanager
def _server(answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Takes one connection, reads the request, writes `answer` as it is and closes."""
    listener = socket.create_server(("127.0.0.1", 0))
    seen: list[bytes] = []

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            data = connection.recv(65536)
            while b"content-length: " in data.lower() and b"}" not in data:
                data += connection.recv(65536)
            seen.append(data)
            connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", seen
    finally:
        thread.join()
        listener.close()


def test_get() -> None:
    with _server(b'HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n{"a": 1}') as (url, _):
        answer = http.get(f"{url}/health")
    assert answer.status == 200
    assert answer.json() == {"a": 1}


def test_post_carries_key_and_body() -> None:
    with _server(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") as (url, seen):
        http.post(f"{url}/v1/completions", {"model": "tiny"}, "fb-1", 5)
    assert b"Authorization: Bearer fb-1" in seen[0]
    assert b'{"model": "tiny"}' in seen[0]


def test_an_error_status_is_an_answer() -> None:
    with _server(b"HTTP/1.1 503 No\r\ncontent-length: 4\r\n\r\nbusy") as (url, _):
        assert http.get(url) == http.HttpResponse(503, "busy")


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 two\r\n\r\n",
    ],
)
def test_whatever_a_stranger_says_nothing_is_raised(garbage: bytes) -> None:
    with _server(garbage) as (url, _):
        answer = http.get(url)
    assert answer.status == 0
    assert answer.text


def test_an_error_cut_short_keeps_its_status() -> None:
    with _server(b"HTTP/1.1 502 Bad\r\ncontent-length: 99\r\n\r\nshort") as (url, _):
        assert http.get(url).status == 502


def test_nothing_listens(free_port: Callable[[], int]) -> None:
    answer = http.get(f"http://127.0.0.1:{free_port()}/", timeout=2)
    assert answer.status == 0
    assert "refused" in answer.text


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch, free_port: Callable[[], int]) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    with _server(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok") as (url, _):
        assert http.get(url).text == "ok"


@pytest.mark.parametrize("text", ["", "no json", "[1]", "null", "{"])
def test_a_body_that_is_no_object_is_empty(text: str) -> None:
    assert http.HttpResponse(200, text).json() == {}


@pytest.mark.parametrize("at", ["", "/health", "/v1/models"])
def test_what_listens_on_a_socket_is_asked_there(at: str) -> None:
    with TemporaryDirectory(prefix="fb-") as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/engine.sock")
        listener.listen()
        seen: list[bytes] = []

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                seen.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 503 X\r\ncontent-length: 5\r\n\r\nlater")

        thread = threading.Thread(target=serve)
        thread.start()
        answer = http.get(f"unix:{folder}/engine.sock{at}")
        thread.join()
    assert (answer.status, answer.text) == (503, "later")
    assert seen[0].startswith(f"GET {at or '/'} HTTP/1.1\r\n".encode())


def test_a_socket_that_is_not_there_is_no_answer() -> None:
    answer = http.get("unix:/nowhere/engine.sock/health")
    assert answer.status == 0 and "No such file" in answer.text
