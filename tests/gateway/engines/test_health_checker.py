"""Engines that freeze, come late, or fail: what the gateway makes of them, seen from outside."""

from __future__ import annotations

import concurrent.futures
import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.gateway.harness import Engine, Gateway, Raw, chat, chat_bytes, error_of, free_port, post_bytes, wait_until

URL = "/v1/chat/completions"
QUICK = {"frozen_after_s": 1.0, "health_timeout_s": 0.5, "canary_timeout_s": 1.0, "canary_interval_s": 0}
QUICK |= {"lone_frozen_after_s": 1.0}
PATIENT = QUICK | {"lone_frozen_after_s": 60.0}

StartEngine = Callable[..., Engine]
StartGateway = Callable[..., Gateway]


def engine_health(gateway: Gateway, index: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{gateway.url}/health").json()["engines"][index]
    return found


def breaker_states(gateway: Gateway) -> list[str]:
    return re.findall(r"^gateway_engine_breaker_state{.*} (.*)$", gateway.metrics(), re.MULTILINE)


def wait_all_up(gateway: Gateway, count: int) -> float:
    return wait_until(lambda: breaker_states(gateway) == ["0.0"] * count, 10, "all engines up")


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


def test_p90_an_engine_gets_its_first_request_after_a_token_came_back(
    start_engine: StartEngine, start_gateway: StartGateway
) -> None:
    engine = start_engine(fault="stall")
    gateway = start_gateway([engine.url], polling=QUICK)
    wait_until(lambda: "one token did not come within 1 s" in engine_health(gateway)["reason"], 5, "said so")
    assert engine_health(gateway)["state"] == "starting"
    assert engine.state()["submitted"] >= 1
    engine.turn(fault="none")
    assert wait_until(gateway.is_up, 5, "in rotation") <= 5


def test_p90_what_can_be_known_of_a_start_is_said(start_engine: StartEngine, start_gateway: StartGateway) -> None:
    port = free_port()
    gateway = start_gateway([f"http://127.0.0.1:{port}"], polling=QUICK)
    wait_until(lambda: "port refused since" in engine_health(gateway)["reason"], 5, "said so")
    assert "vLLM opens its port once the weights are loaded" in engine_health(gateway)["reason"]
    start_engine(port=port)
    gateway.wait_up()
    assert engine_health(gateway)["state"] == "up" and "since" in engine_health(gateway)
    assert "reason" not in engine_health(gateway)


def test_p90_an_engine_without_completions_is_asked_for_an_embedding(
    start_gateway: StartGateway, recording_engine: tuple[str, list[bytes]]
) -> None:
    url, seen = recording_engine
    start_gateway([url], polling=QUICK).wait_up()
    assert any(b"POST /v1/completions" in data for data in seen)


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


def test_p91_an_engine_that_fails_goes_out_and_is_seen_to(
    start_engine: StartEngine, start_gateway: StartGateway
) -> None:
    engines = [start_engine(), start_engine()]
    gateway = start_gateway([engine.url for engine in engines], polling=QUICK)
    wait_all_up(gateway, 2)
    engines[0].turn(fault="defect")
    with gateway.client() as client:
        codes = [client.post(URL, json=chat()).status_code for _ in range(12)]
    assert set(codes) <= {200, 502}
    assert codes.count(502) <= 3 and codes[-4:] == [200] * 4
    assert "2.0" in breaker_states(gateway) or "1.0" in breaker_states(gateway)
    assert "it answers 500 to a request for one token" in engine_health(gateway)["reason"]
    assert engine_health(gateway, 1)["state"] == "up"
    engines[0].turn(fault="none")
    assert wait_all_up(gateway, 2) <= 5


def test_p92_the_last_engine_is_not_closed_by_requests_that_break_it(
    start_engine: StartEngine, start_gateway: StartGateway
) -> None:
    engine = start_engine()
    gateway = start_gateway([engine.url], polling=QUICK)
    gateway.wait_up()
    engine.turn(fault="poison")
    poisoned = chat(messages=[{"role": "user", "content": "poison"}])
    with gateway.client() as client:
        for _ in range(8):
            assert client.post(URL, json=poisoned).status_code == 502
            assert client.post(URL, json=chat()).status_code == 200


def busy(gateway: Gateway, done: threading.Event, **asked: Any) -> Callable[[int], None]:
    """One user who asks again and again."""

    def load(_: int) -> None:
        with gateway.client(30) as client:
            while not done.is_set():
                client.post(URL, json=chat(**asked))

    return load


def gauge(gateway: Gateway, name: str) -> float:
    return float(re.findall(rf"^{name}{{.*}} (.*)$", gateway.metrics(), re.MULTILINE)[0])


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


def there(engine: Engine) -> int:
    state = engine.state()
    return int(state["running"] + state["waiting"])


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
            engine.turn(fault="stall", for_s=4)
            wait_until(lambda: engine_health(gateway)["state"] == "stalled", 4, "seen")
            health = httpx.get(f"{gateway.url}/health")
            assert health.status_code == 503 and "it is waited for" in engine_health(gateway)["reason"]
            later = [pool.submit(whole) for _ in range(3)]
            wait_until(lambda: gateway.metric("gateway_queue_depth") == 3, 2, "they wait")
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


def test_p92_forms_that_no_engine_can_compile_put_none_out(
    start_engine: StartEngine, start_gateway: StartGateway
) -> None:
    """vLLM 0.32 answers 500 to the pattern ^[a-z]{1,200}$; three in a row closed one of two engines for everybody."""
    engines = [start_engine(fault="poison"), start_engine(fault="poison")]
    gateway = start_gateway([engine.url for engine in engines], polling=QUICK)
    wait_all_up(gateway, 2)
    form = {"type": "json_schema", "json_schema": {"name": "poison", "schema": {"type": "object"}}}
    with gateway.client() as client:
        codes = {client.post(URL, json=chat() | {"response_format": form}).status_code for _ in range(16)}
        assert codes == {502}
        assert [engine_health(gateway, index)["state"] for index in range(2)] == ["up", "up"]
        assert client.post(URL, json=chat()).status_code == 200
