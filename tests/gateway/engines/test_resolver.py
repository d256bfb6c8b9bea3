"""Names and the addresses behind them."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.config.settings import EngineSettings
from gateway.core.supervisor import Supervisor
from gateway.engines.resolver import Resolver
from tests.gateway.harness import Engine, Gateway, chat, wait_until

NUMBERS: dict[str, Any] = {"max_num_seqs": 1, "max_num_batched_tokens": 1, "max_model_len": 1, "kv_cache_tokens": 1}


async def test_p11_all_addresses_of_a_name_are_told_and_why_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    behind = ["10.0.0.1", "10.0.0.2"]

    def lookup(host: str, service: Any, *rest: Any, **more: Any) -> list[Any]:  # noqa: ARG001
        if not behind:
            raise socket.gaierror(-2, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, service)) for each in behind]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    told: asyncio.Queue[set[str] | str] = asyncio.Queue()
    resolver = Resolver(
        0.01,
        lambda _, hosts: told.put_nowait(hosts),
        lambda _, why: told.put_nowait(why),
        Supervisor(),
        asyncio.get_running_loop(),
    )
    resolver.watch(EngineSettings(name="e", url="http://engine:8000", models=("m",), **NUMBERS))
    async with asyncio.timeout(5):
        assert await told.get() == {"10.0.0.1", "10.0.0.2"}
        behind.clear()
        while isinstance(why := await told.get(), set):
            pass
        assert why == "host name 'engine' is not known (Name or service not known)"
    resolver.stop()
    await asyncio.sleep(0.05)
    while not told.empty():
        told.get_nowait()
    await asyncio.sleep(0.05)
    assert told.empty()


@pytest.fixture
def path() -> Iterator[Path]:
    """Of a socket, short enough for one."""
    with TemporaryDirectory(prefix="fb-") as folder:
        yield Path(folder) / "engine.sock"


def test_p172_an_engine_behind_a_socket_is_as_any_other(
    path: Path, start_gateway: Callable[..., Gateway], start_engine: Callable[..., Engine]
) -> None:
    gateway = start_gateway([f"unix:{path}"])
    with gateway.client() as client:
        early = client.post("/v1/chat/completions", json=chat())
        assert early.status_code == 503 and str(path.parent) not in early.text
        engine = start_engine(uds=path)
        gateway.wait_up()
        for stream in (True, False):
            answer = client.post("/v1/chat/completions", json=chat(stream))
            assert answer.status_code == 200 and "finish_reason" in answer.text
        metrics = gateway.metrics()
        assert 'address="engine.sock"' in metrics and str(path.parent) not in metrics
        engine.send(signal.SIGKILL)
        wait_until(lambda: client.get("/health").status_code == 503, 10, "its end seen")
        gone = client.post("/v1/chat/completions", json=chat())
        assert gone.status_code == 503 and str(path.parent) not in gone.text + client.get("/health").text
        start_engine(uds=path)
        gateway.wait_up()
        assert client.post("/v1/chat/completions", json=chat()).status_code == 200


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("unix:engine.sock", "'unix:engine.sock' is not an absolute path; write unix:/PATH/engine.sock"),
        ("unix://engine.sock", "is not an absolute path"),
        ("unix:", "is not an absolute path"),
        (f"unix:/{'d' * 107}", "is longer than the 107 bytes of a socket's path; write a shorter one"),
    ],
)
def test_p172_what_is_no_sockets_path_is_said(url: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        EngineSettings(name="e", url=url, models=("m",), **NUMBERS)


async def test_p142_what_is_no_host_name_is_told_and_looked_up_again() -> None:
    """A label of over 63 characters is no OSError to Python."""
    told: asyncio.Queue[str] = asyncio.Queue()
    engine = EngineSettings.model_construct(name="e", url=f"http://{'x' * 64}:8000", models=("m",), **NUMBERS)
    supervisor = Supervisor()
    resolver = Resolver(
        0.01, lambda *_: None, lambda _, why: told.put_nowait(why), supervisor, asyncio.get_running_loop()
    )
    resolver.watch(engine)
    async with asyncio.timeout(5):
        whys = {await told.get() for _ in range(3)}
    resolver.stop()
    assert whys == {f"host name '{'x' * 64}' is not known (not a host name)"}
    assert supervisor.parts["resolver"].failures == 0


async def test_p142_a_defect_in_taking_addresses_over_does_not_end_the_looking() -> None:
    looks: asyncio.Queue[set[str]] = asyncio.Queue()

    def found(_: EngineSettings, hosts: set[str]) -> None:
        looks.put_nowait(hosts)
        raise KeyError("a defect")

    supervisor = Supervisor()
    resolver = Resolver(0.01, found, lambda *_: None, supervisor, asyncio.get_running_loop())
    resolver.watch(EngineSettings(name="e", url="http://127.0.0.1:8000", models=("m",), **NUMBERS))
    async with asyncio.timeout(10):
        await looks.get()
        await looks.get()
    resolver.stop()
    assert supervisor.parts["resolver"].failures >= 1
