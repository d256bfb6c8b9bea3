"""`tests.ports`: what is given is free, and given once."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import ports

ROOT = Path(__file__).resolve().parent.parent
PIPES: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}


def test_no_port_is_given_twice() -> None:
    given = [ports.free_port() for _ in range(50)]
    assert len(set(given)) == 50 and all(ports.FIRST <= port < ports.LAST for port in given)


def test_a_row_of_ports_is_free_from_its_first_to_its_last() -> None:
    first = ports.free_port(together=3)
    for port in range(first, first + 3):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", port))


def test_a_port_that_is_in_use_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        only(monkeypatch, taken.getsockname()[1])
        with pytest.raises(AssertionError, match="no free port"):
            ports.free_port()


def only(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    """As if it were the only port there is."""
    monkeypatch.setattr(ports, "FIRST", port)
    monkeypatch.setattr(ports, "LAST", port + 1)


def test_what_another_process_was_given_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    ask = "from tests import ports; print(ports.free_port(), flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", ask], cwd=ROOT, **PIPES) as other:
        assert other.stdin is not None and other.stdout is not None
        only(monkeypatch, port := int(other.stdout.readline()))
        with pytest.raises(AssertionError, match="no free port"):
            ports.free_port()
        other.communicate("\n")
        assert ports.free_port() == port
