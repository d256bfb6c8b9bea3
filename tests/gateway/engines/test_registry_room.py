"""Which engine has room for a request, also where others use it: a request of ours must always get in some time."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable

import httpx
import pytest

from gateway.core.call import Call
from gateway.engines.kv_occupancy import Hold
from gateway.engines.vllm_metrics import Report
from tests.gateway.engines.registries import serving
from tests.gateway.harness import Engine, Gateway, chat, wait_until


async def test_p110_an_address_over_its_lowered_limit_does_not_hide_the_others_free_places() -> None:
    """Limits go down under load: 8 of 4 and 5 of 8 were 13 of 12, and so nobody was let in."""
    registry = await serving(8, 8)
    over, free = registry.replicas()
    for address, count in ((over, 8), (free, 5)):
        for _ in range(count):
            address.take(Hold(1, 1, 1, 1, 0))
    over.limit = 4
    assert registry.has_room("m", whole=True)
    assert registry.choose(Call("m", True, b"/", b"")) is free
    registry.stop()


# Of somebody else's: all of the cache is theirs, and they do not end.
FULL_OF_OTHERS = Report(8, 0, 1.0, 1, 1, 1, 0)


@pytest.mark.parametrize("engines", [1, 2])
async def test_p110_one_request_goes_where_others_fill_the_cache_and_the_next_waits(engines: int) -> None:
    """It waited until all those others had ended, which they need not do, and everybody else behind it."""
    registry = await serving(*[8] * engines)
    for replica in registry.replicas():
        for _ in range(3):
            replica.polled(["m"], FULL_OF_OTHERS)
    call = Call("m", True, b"/", b"", prompt_tokens=1000)
    for _ in range(engines):
        assert registry.has_room("m", whole=True)
        chosen = registry.choose(call)
        assert chosen is not None and chosen.in_flight == 0
        chosen.take(Hold(1000, 100, 100, 1, 0))
    assert registry.choose(call) is None and not registry.has_room("m", whole=True)
    registry.stop()


async def test_p110_where_there_is_room_comes_first() -> None:
    registry = await serving(8, 8)
    full, free = registry.replicas()
    for _ in range(3):
        full.polled(["m"], FULL_OF_OTHERS)
    free.take(Hold(1000, 100, 100, 5000, 0))
    assert all(registry.choose(Call("m", True, b"/", b"", prompt_tokens=1000)) is free for _ in range(20))
    registry.stop()


async def test_p110_what_others_had_is_not_believed_once_the_engine_says_nothing_more() -> None:
    """Its /metrics may end while it serves on; then nothing would ever have corrected that it was full."""
    registry = await serving(8)
    (replica,) = registry.replicas()
    for _ in range(3):
        replica.polled(["m"], FULL_OF_OTHERS)
    replica.take(Hold(1000, 100, 100, 1, 0))
    assert not replica.has_room(1000, 100, whole=True)
    replica.polled(["m"], None)
    assert replica.has_room(1000, 100, whole=True)
    registry.stop()


def test_p110_a_request_gets_in_though_others_never_leave_the_engine_alone(
    start_engine: Callable[..., Engine], start_gateway: Callable[..., Gateway]
) -> None:
    engine = start_engine(kv_tokens=640, itl_ms=5, ttft_ms=5)
    gateway = start_gateway([engine.url], polling={"health_interval_s": 0.05})
    gateway.wait_up()
    done = threading.Event()
    asked = chat(messages=[{"role": "user", "content": "x" * 400}], max_tokens=60)

    def stranger(_: int) -> None:
        with httpx.Client(base_url=engine.url, timeout=30) as client:
            while not done.is_set():
                client.post("/v1/chat/completions", json=asked)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        others = [pool.submit(stranger, number) for number in range(4)]
        try:
            wait_until(lambda: gateway.metric("gateway_engine_kv_usable_tokens") < 300, 10, "others are seen")
            with gateway.client(20) as client:
                assert client.post("/v1/chat/completions", json=chat(max_tokens=300)).status_code == 200
        finally:
            done.set()
        for other in others:
            other.result()
