"""The socket: who may ask, and what is understood."""

from __future__ import annotations

import socket
import stat
from collections.abc import Callable

import pytest

from launcher.server import probe
from tests.launcher.launchers import Launcher, two


def test_its_surface(start_launcher: Callable[..., Launcher]) -> None:
    launcher = start_launcher(two())
    mode = launcher.socket.stat().st_mode
    assert stat.S_ISSOCK(mode) and mode & 0o777 == 0o660
    assert probe(str(launcher.socket))
    status, state = launcher.ask("GET", "/state")
    assert (status, state["card"], sorted(state["models"])) == (200, "card0", ["a", "b"])
    expected = {"cause", "exit", "faults", "loads", "log", "pid", "since", "state", "why"}
    assert set(state["models"]["a"]) == expected
    for method, path in [
        ("GET", "/"), ("POST", "/models/c/start"), ("POST", "/models/a/run"), ("POST", "/models/a/start/now"),
        ("POST", "/state"), ("POST", "/models/a/wait"), ("POST", "/models/a/__init__"),
    ]:  # fmt: skip
        assert launcher.ask(method, path)[0] == 404, path
    assert _raw(launcher, b"POST /models/a/start HTTP/1.1\r\ncontent-length: 9999999\r\n\r\n").startswith(
        b"HTTP/1.1 413"
    )
    assert _raw(launcher, b"PUT /state HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 501")
    assert launcher.of("a")["state"] == "stopped"
    assert (
        len(_raw(launcher, b"GET /state HTTP/1.1\r\n\r\n" * 2).split(b"HTTP/1.1 200")) == 3
    )  # one connection, two answers


def _raw(launcher: Launcher, data: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
        one.settimeout(10)
        one.connect(str(launcher.socket))
        one.sendall(data)
        one.shutdown(socket.SHUT_WR)
        found = b""
        while piece := one.recv(65536):
            found += piece
        return found


@pytest.mark.parametrize("path", ["/nowhere/x.sock", "/dev/null"])
def test_a_probe_of_nothing(path: str) -> None:
    assert not probe(path)
