"""The health check of a container."""

from __future__ import annotations

from collections.abc import Callable

from tests.gateway.harness import (
    Engine,
    Gateway,
    run,
)


def test_p41_the_probe_tells_alive_from_ready(
    start_engine: Callable[..., Engine], start_gateway: Callable[..., Gateway]
) -> None:
    engine = start_engine(fault="refuse")
    gateway = start_gateway([engine.url])
    assert run("gateway.probe", "--url", gateway.url).returncode == 0
    not_ready = run("gateway.probe", "--url", gateway.url, "--ready")
    assert not_ready.returncode == 1 and "connection refused" in not_ready.stdout
    gateway.stop()
    gone = run("gateway.probe", "--url", gateway.url)
    assert gone.returncode == 1 and gone.stderr.count("\n") == 1
