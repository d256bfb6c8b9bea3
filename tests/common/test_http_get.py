"""Pages of servers, over TCP and Unix sockets, and what strangers say there."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from tempfile import TemporaryDirectory

import pytest

from common.http_get import FAULTS, get
from tests.one_answer import answering


def test_get() -> None:
    with answering(b'HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n{"a": 1}') as (url, seen):
        assert get(f"{url}/health", 5) == (200, b'{"a": 1}')
    assert seen[0].startswith(b"GET /health HTTP/1.1\r\n")


def test_an_error_status_is_an_answer() -> None:
    with answering(b"HTTP/1.1 503 No\r\ncontent-length: 4\r\n\r\nbusy") as (url, _):
        assert get(url, 5) == (503, b"busy")


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
def test_whatever_a_stranger_says_is_one_of_the_known_faults(garbage: bytes) -> None:
    with answering(garbage) as (url, _), pytest.raises(FAULTS):
        get(url, 5)


def test_an_error_cut_short_keeps_its_status() -> None:
    with answering(b"HTTP/1.1 502 Bad\r\ncontent-length: 99\r\n\r\nshort") as (url, _):
        assert get(url, 5)[0] == 502


def test_nothing_listens(free_port: Callable[[], int]) -> None:
    with pytest.raises(FAULTS, match="refused"):
        get(f"http://127.0.0.1:{free_port()}/", 2)


@pytest.mark.parametrize("url", ["not an address", "http://[::1", "http://127.0.0.1:99999/metrics"])
def test_what_is_no_address_is_one_of_the_known_faults(url: str) -> None:
    with pytest.raises(FAULTS):
        get(url, 2)


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch, free_port: Callable[[], int]) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    with answering(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok") as (url, _):
        assert get(url, 5) == (200, b"ok")


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
        answer = get(f"unix:{folder}/engine.sock{at}", 5)
        thread.join()
    assert answer == (503, b"later")
    assert seen[0].startswith(f"GET {at or '/'} HTTP/1.1\r\n".encode())


def test_a_socket_that_is_not_there_is_no_answer() -> None:
    with pytest.raises(FAULTS, match="No such file"):
        get("unix:/nowhere/engine.sock/health", 5)
