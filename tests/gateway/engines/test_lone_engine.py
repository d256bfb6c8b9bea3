"""An engine that nobody can stand in for is waited for."""

from __future__ import annotations

import concurrent.futures
import os
import signal
import time

import httpx

from tests.gateway.engines.watched import PATIENT, URL, StartEngine, StartGateway, engine_health, wait_all_up
from tests.gateway.harness import Raw, chat, chat_bytes, post_bytes, wait_until


def test_p144_a_lone_engine_that_stands_still_is_waited_for(
    start_engine: StartEngine, start_gateway: StartGateway
) -> None:
    """As while a kernel is compiled: three times frozen_after_s without a sign of life, and nothing is lost."""
    engine = start_engine(itl_ms=20)
    gateway = start_gateway([engine.url], polling=PATIENT)
    gateway.wait_up()

    def whole() -> httpx.Response:
        with gateway.client(30) as client:
            return client.post(URL, json=chat(max_tokens=20))

    with concurrent.futures.ThreadPoolExecutor(4) as pool, gateway.client(30) as client:
        with client.stream("POST", URL, json=chat(True, max_tokens=200)) as stream:
            lines = stream.iter_lines()
            next(lines)
            engine.turn(fault="stall")
            began = time.monotonic()
            wait_until(lambda: engine_health(gateway)["state"] == "stalled", 4, "seen")
            health = httpx.get(f"{gateway.url}/health")
            assert health.status_code == 503 and "it is waited for" in engine_health(gateway)["reason"]
            later = [pool.submit(whole) for _ in range(3)]
            wait_until(lambda: gateway.metric("gateway_queue_depth") == 3, 2, "they wait")
            wait_until(lambda: time.monotonic() - began > 4, 5, "three times the limit has gone by")
            engine.turn(fault="none")
            rest = [line for line in lines if line]
        assert rest[-1] == "data: [DONE]"
        assert [answer.result().status_code for answer in later] == [200] * 3
    assert gateway.is_up()


def test_p144_so_is_one_whose_process_does_not_answer(start_engine: StartEngine, start_gateway: StartGateway) -> None:
    engine = start_engine(itl_ms=20)
    gateway = start_gateway([engine.url], polling=PATIENT)
    gateway.wait_up()
    os.kill(engine.pid, signal.SIGSTOP)  # as on a machine that swaps
    try:
        wait_until(lambda: engine_health(gateway)["state"] == "stalled", 6, "seen")
        with concurrent.futures.ThreadPoolExecutor(1) as pool, gateway.client(30) as client:
            waiting = pool.submit(client.post, URL, json=chat())
            time.sleep(1.5)
            assert not waiting.done()
            os.kill(engine.pid, signal.SIGCONT)
            assert waiting.result().status_code == 200
    finally:
        os.kill(engine.pid, signal.SIGCONT)


def test_p144_an_idle_one_that_brings_no_token_too(start_engine: StartEngine, start_gateway: StartGateway) -> None:
    engine = start_engine()
    gateway = start_gateway([engine.url], polling=PATIENT | {"canary_interval_s": 0.5})
    gateway.wait_up()
    engine.turn(fault="stall")
    wait_until(lambda: engine_health(gateway)["state"] == "stalled", 5, "seen")
    with concurrent.futures.ThreadPoolExecutor(1) as pool, gateway.client(30) as client:
        waiting = pool.submit(client.post, URL, json=chat())
        time.sleep(1)
        engine.turn(fault="none")
        assert waiting.result().status_code == 200


def test_p144_until_its_process_is_gone_or_the_time_is_over(
    start_engine: StartEngine, start_gateway: StartGateway
) -> None:
    engine = start_engine(itl_ms=20)
    gateway = start_gateway([engine.url], polling=PATIENT | {"lone_frozen_after_s": 3.0})
    gateway.wait_up()
    body = chat_bytes(True, max_tokens=4000)
    for over in ("time", "gone"):
        with Raw(gateway.port) as raw:
            raw.send(post_bytes(body, f"Content-Length: {len(body)}"))
            raw.read_until(b"data: ")
            engine.turn(fault="stall")
            began = time.monotonic()
            wait_until(lambda: engine_health(gateway)["state"] == "stalled", 5, "seen")
            if over == "gone":
                engine.stop()
            assert b'"error"' in raw.read_until(b"\r\n0\r\n\r\n")
            assert over == "gone" or 2.5 < time.monotonic() - began < 9
        wait_until(lambda: engine_health(gateway)["state"] == "down", 5, "given up")
        with gateway.client() as client:
            assert client.post(URL, json=chat()).status_code == 503
        if over == "time":
            engine.turn(fault="none")
            gateway.wait_up()


def test_p144_one_of_two_is_not_waited_for(start_engine: StartEngine, start_gateway: StartGateway) -> None:
    engines = [start_engine(itl_ms=20), start_engine(itl_ms=20)]
    gateway = start_gateway([engine.url for engine in engines], polling=PATIENT)
    wait_all_up(gateway, 2)
    body = chat_bytes(True, max_tokens=4000)
    with Raw(gateway.port) as raw:
        raw.send(post_bytes(body, f"Content-Length: {len(body)}"))
        raw.read_until(b"data: ")
        stalled = next(engine for engine in engines if engine.running())
        stalled.turn(fault="stall")
        assert b"is frozen" in raw.read_until(b"\r\n0\r\n\r\n")
    assert gateway.is_up()
    with gateway.client() as client:
        assert client.post(URL, json=chat()).status_code == 200
