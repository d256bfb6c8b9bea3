"""How much an engine is given: what it can run, and what its KV cache holds."""

from __future__ import annotations

import concurrent.futures
import threading

from tests.gateway.engines.watched import QUICK, StartEngine, StartGateway, busy, gauge, there
from tests.gateway.harness import wait_until


def test_p89_the_limit_follows_what_the_engine_can_run(start_engine: StartEngine, start_gateway: StartGateway) -> None:
    """Planned 64, but the engine has eight seats: the rest comes to wait in the gateway."""
    engine = start_engine(max_num_seqs=8, itl_ms=2, ttft_ms=5)
    gateway = start_gateway([engine.url], polling=QUICK | {"health_interval_s": 0.05, "frozen_after_s": 10.0})
    gateway.wait_up()
    done = threading.Event()
    assert gauge(gateway, "gateway_engine_limit") == 64
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        tasks = [pool.submit(busy(gateway, done, max_tokens=60), number) for number in range(40)]
        try:
            wait_until(lambda: gauge(gateway, "gateway_engine_limit") <= 16, 15, "the limit comes down")
            wait_until(lambda: engine.state()["waiting"] <= 6, 15, "the engine's own queue is short")
            assert gauge(gateway, "gateway_engine_limit") >= 8
        finally:
            done.set()
        for task in tasks:
            task.result()


def test_p110_what_does_not_fit_the_kv_cache_waits_here(start_engine: StartEngine, start_gateway: StartGateway) -> None:
    """Seats for 64, and a cache for about eight of these, as the engine says itself; the plan said much more."""
    engine = start_engine(kv_tokens=8 * 320, itl_ms=2, ttft_ms=5)
    gateway = start_gateway([engine.url], polling=QUICK | {"health_interval_s": 0.05, "frozen_after_s": 10.0})
    gateway.wait_up()
    prompt = [{"role": "user", "content": "x" * 1000}]
    done = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        tasks = [pool.submit(busy(gateway, done, messages=prompt, max_tokens=60), number) for number in range(40)]
        try:
            wait_until(lambda: gauge(gateway, "gateway_queue_depth") > 20, 15, "most of them wait")
            # Those that came before the engine's first word of its cache have to end first.
            wait_until(lambda: there(engine) <= 12, 15, "as many as fit")
            assert max(there(engine) for _ in range(20)) <= 12
            wait_until(lambda: engine.state()["running"] >= 7, 10, "the cache filled")
            assert gauge(gateway, "gateway_engine_limit") == 64
        finally:
            done.set()
        for task in tasks:
            task.result()
