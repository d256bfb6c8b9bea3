"""An engine that stands still is taken out; one that is only slow is not."""

from __future__ import annotations

import concurrent.futures
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.gateway.engines.watched import QUICK, URL, StartEngine, StartGateway, breaker_states
from tests.gateway.harness import Raw, chat, chat_bytes, error_of, post_bytes, wait_until


@pytest.fixture
def stopped() -> Iterator[Callable[[int], None]]:
    """Stops processes as if they were frozen; goes on with them in the end."""
    found: list[int] = []

    def stop(pid: int) -> None:
        os.kill(pid, signal.SIGSTOP)
        found.append(pid)

    yield stop
    for pid in found:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("how", ["core", "process"])
def test_p86_a_frozen_engine_is_out_within_seconds_and_its_requests_end(
    start_engine: StartEngine, start_gateway: StartGateway, stopped: Callable[[int], None], how: str
) -> None:
    engine = start_engine(itl_ms=20)
    gateway = start_gateway([engine.url], polling=QUICK)
    gateway.wait_up()

    def whole() -> httpx.Response:
        with gateway.client(20) as client:
            return client.post(URL, json=chat(max_tokens=4000))

    with concurrent.futures.ThreadPoolExecutor(1) as pool, gateway.client(20) as client:
        answer = pool.submit(whole)
        with client.stream("POST", URL, json=chat(True, max_tokens=4000)) as stream:
            lines = stream.iter_lines()
            next(lines)
            wait_until(lambda: engine.running() == 2, 5, "both running")
            if how == "core":
                engine.turn(fault="stall")
            else:
                stopped(engine.pid)
            began = time.monotonic()
            rest = [line for line in lines if line]
            took = time.monotonic() - began
        assert json.loads(rest[-1].removeprefix("data: "))["error"]["code"] == "engine_silent"
        assert "is frozen" in rest[-1]
        assert answer.result().status_code == 504
        assert "is frozen" in error_of(answer.result())["message"]
        # Far from the limits of 120 and 600 s; one second and a few polls, on a machine that others use as well.
        assert took < 10
        assert not gateway.is_up()
        assert 'outcome="engine_timeout"} 2.0' in gateway.metrics()


def test_p86_it_is_back_within_five_seconds_after_it_is_well_again(
    start_engine: StartEngine, start_gateway: StartGateway
) -> None:
    engine = start_engine(itl_ms=20)
    gateway = start_gateway([engine.url], polling=QUICK)
    gateway.wait_up()
    with gateway.client(20) as client, client.stream("POST", URL, json=chat(True, max_tokens=4000)) as stream:
        lines = stream.iter_lines()
        next(lines)
        engine.turn(fault="stall")
        for _ in lines:
            pass
    wait_until(lambda: engine.running() <= 1, 3, "what was cut has left the batch")
    assert breaker_states(gateway) != ["0.0"]
    engine.turn(fault="none")
    wait_until(gateway.is_up, 5, "back")
    with gateway.client() as client:
        assert client.post(URL, json=chat()).status_code == 200


def test_p87_an_engine_with_a_long_queue_stays(start_engine: StartEngine, start_gateway: StartGateway) -> None:
    """Its own queue is full for many times frozen_after_s, and each request in it waits so long."""
    engine = start_engine(max_num_seqs=1, ttft_ms=400, itl_ms=10)
    gateway = start_gateway([engine.url], polling=QUICK)
    gateway.wait_up()
    seen = set()
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            seen.update(breaker_states(gateway))

    def one(_: int) -> int:
        with gateway.client(30) as client:
            return client.post(URL, json=chat(max_tokens=2)).status_code

    with concurrent.futures.ThreadPoolExecutor(11) as pool:
        watcher = pool.submit(watch)
        codes = list(pool.map(one, range(10)))
        done.set()
        watcher.result()
    assert codes == [200] * 10
    assert seen == {"0.0"}


def test_p87_an_engine_that_reads_a_long_prompt_stays(start_engine: StartEngine, start_gateway: StartGateway) -> None:
    """Nothing moves for three times frozen_after_s: one step with 1,500 tokens at 500 tokens a second."""
    engine = start_engine(ttft_ms=3000)
    gateway = start_gateway([engine.url], polling=QUICK | {"canary_timeout_s": 10.0})
    gateway.wait_up()
    with gateway.client(20) as client:
        long = chat(max_tokens=2, messages=[{"role": "user", "content": "word " * 1200}])
        assert client.post(URL, json=long).status_code == 200


def test_p87_an_engine_that_has_no_time_for_polls_stays_while_its_answers_come(
    start_engine: StartEngine, start_gateway: StartGateway
) -> None:
    engine = start_engine(itl_ms=20)
    gateway = start_gateway([engine.url], polling=QUICK | {"health_timeout_s": 0.2})
    gateway.wait_up()
    body = chat_bytes(True, max_tokens=400)  # 8 s: a busy machine needs them for six looks
    with Raw(gateway.port) as raw:
        raw.send(post_bytes(body, f"Content-Length: {len(body)}"))
        raw.read_until(b"data: ")
        engine.turn(fault="deaf")
        seen = []
        while engine.running():
            seen.append(breaker_states(gateway))
        assert len(seen) > 5 and all(states == ["0.0"] for states in seen[:-1])
        assert raw.read_until(b"data: [DONE]")
    wait_until(lambda: not gateway.is_up(), 5, "silent in every way")


def test_p87_clients_that_do_not_read_do_not_take_an_engine_out(
    start_engine: StartEngine, start_gateway: StartGateway
) -> None:
    engine = start_engine(token_chars=20000, itl_ms=1)
    gateway = start_gateway([engine.url], polling=QUICK)
    gateway.wait_up()
    body = chat_bytes(True, max_tokens=4000)
    with Raw(gateway.port) as raw:
        raw.send(post_bytes(body, f"Content-Length: {len(body)}"))
        wait_until(lambda: engine.running() == 1, 5, "it runs")
        began = time.monotonic()
        while time.monotonic() - began < 3:
            assert gateway.is_up()
            time.sleep(0.1)
        assert engine.running() == 1


def test_p88_an_idle_engine_has_to_bring_a_token_from_time_to_time(
    start_engine: StartEngine, start_gateway: StartGateway
) -> None:
    engine = start_engine()
    gateway = start_gateway([engine.url], polling=QUICK | {"canary_interval_s": 0.5})
    gateway.wait_up()
    before = engine.state()["submitted"]
    wait_until(lambda: engine.state()["submitted"] >= before + 2, 5, "asked for tokens")
    assert gateway.is_up()
    engine.turn(fault="stall")
    wait_until(lambda: not gateway.is_up(), 5, "noticed without a request")
    engine.turn(fault="none")
    wait_until(gateway.is_up, 5, "back")
