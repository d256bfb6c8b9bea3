from __future__ import annotations

import os
import socket
from collections.abc import Callable

from fullbatch.runtime.base import Held
from fullbatch.runtime.port_check import PortWanted, judge


def test_a_taken_port_names_its_holder(free_port: Callable[[], int]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken, free = server.getsockname()[1], free_port()
        wanted = [PortWanted("gateway", taken, "choose another: --gateway-port PORT"), PortWanted("engine", free, "x")]
        gateway, engine = judge(wanted, Held())
        assert gateway.severity == "fail"
        assert f"{taken} (gateway) is held by process {os.getpid()} " in gateway.finding
        assert gateway.fix == "stop it, or choose another: --gateway-port PORT"
        assert engine.severity == "ok"
        ours, _ = judge(wanted, Held({os.getpid(): "cpu"}))
        assert (ours.severity, ours.fix) == ("warn", "fullbatch down cpu")


def test_the_ports_of_what_runs_in_docker_are_ours() -> None:
    """Behind a published port stands a process of Docker's, which nobody shall stop."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        (gateway,) = judge([PortWanted("gateway", taken, "x")], Held({}, {taken: "cpu"}))
    assert (gateway.severity, gateway.fix) == ("warn", "fullbatch down cpu")
    assert gateway.finding == f"{taken} (gateway) is held by your running profile 'cpu'"
