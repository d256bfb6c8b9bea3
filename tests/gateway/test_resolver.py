"""Names and the addresses behind them."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from gateway.resolver import Resolver
from gateway.settings import EngineSettings

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
