"""The gateway's own questions to an engine."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from typing import Any

import pytest

from gateway.config.settings import EngineSettings, Polling
from gateway.engines.query import NoConnection, ask
from gateway.engines.replica import Replica
from gateway.http.client import Pool
from tests.gateway.harness import Engine, free_port
from tests.gateway.scripted import Scripted, answer

NUMBERS: dict[str, Any] = {"max_num_seqs": 1, "max_num_batched_tokens": 1, "max_model_len": 1, "kv_cache_tokens": 1}


def address_at(port: int) -> Replica:
    engine = EngineSettings(name="e", url=f"http://127.0.0.1:{port}", models=("tiny",), **NUMBERS)
    loop = asyncio.get_running_loop()
    return Replica(engine, "127.0.0.1", Pool("127.0.0.1", port, loop), Polling(), lambda: None)


async def test_a_page_of_many_pieces_is_collected(start_engine: Callable[..., Engine]) -> None:
    address = address_at(int(start_engine().url.rpartition(":")[2]))
    status, page = await ask(address, b"/metrics")
    assert status == 200
    assert page.count(b"\nvllm:num_requests_running{") == 1 and page.endswith(b"\n")
    assert (await ask(address, b"/nothing"))[0] == 404
    address.pool.close()


async def test_a_body_is_posted(start_engine: Callable[..., Engine]) -> None:
    address = address_at(int(start_engine().url.rpartition(":")[2]))
    status, answer = await ask(address, b"/v1/completions", b'{"model":"tiny","prompt":"1","max_tokens":1}')
    assert status == 200 and b'"completion_tokens":1' in answer
    address.pool.close()


async def test_no_connection_and_a_broken_one_are_oserrors(start_engine: Callable[..., Engine]) -> None:
    with pytest.raises(OSError, match="refused|Connect call failed"):
        await ask(address_at(free_port()), b"/health")
    engine = start_engine(fault="before-headers")
    with pytest.raises(OSError, match="closed the connection"):
        await ask(address_at(int(engine.url.rpartition(":")[2])), b"/v1/completions", b'{"model":"tiny","prompt":"1"}')


async def test_p140_a_kept_connection_that_was_closing_is_replaced() -> None:
    engine = Scripted(answer, after=lambda *_: True)
    address = address_at(engine.port)
    for _ in range(50):
        assert (await ask(address, b"/health"))[0] == 200
    engine.die()
    with pytest.raises(NoConnection) as refused:
        await ask(address, b"/health")
    assert refused.value.errno == errno.ECONNREFUSED
