"""One request after another, seen from outside: who waits, who does not, what is counted."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.gateway.harness import (
    OTHER_KEY,
    Engine,
    Gateway,
    Raw,
    chat,
    chat_bytes,
    error_of,
    post_bytes,
    wait_until,
)

URL = "/v1/chat/completions"


def sample(gateway: Gateway, name: str, **labels: str) -> float:
    """The sum over all series that have these labels."""
    return sum(
        found.value
        for family in text_string_to_metric_families(gateway.metrics())
        for found in family.samples
        if found.name == name and labels.items() <= found.labels.items()
    )


class Crowd:
    """Requests over sockets of their own, which the fixture closes."""

    def __init__(self) -> None:
        self.raws: list[Raw] = []

    def send(self, gateway: Gateway, *headers: str, **more: object) -> Raw:
        body = chat_bytes(stream=True, **more)
        raw = Raw(gateway.port, timeout_s=30)
        self.raws.append(raw)
        raw.send(post_bytes(body, f"Content-Length: {len(body)}", *headers))
        return raw

    def fill(self, gateway: Gateway, engine: Engine, running: int, waiting: int) -> list[Raw]:
        """Requests that take every place, and some that wait, in this order."""
        raws = []
        for number in range(running + waiting):
            raws.append(self.send(gateway, max_tokens=4000))
            depth = max(0, number + 1 - running)
            wait_until(lambda depth=depth: sample(gateway, "gateway_queue_depth") == depth, 5, "queued")  # type: ignore[misc]
        wait_until(lambda: engine.running() == running, 5, "the engine filled")
        return raws


def leave(raws: list[Raw]) -> None:
    for raw in raws:
        raw.socket.close()


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    found = Crowd()
    yield found
    leave(found.raws)


def test_p42_the_engine_gets_what_it_has_seats_for_and_the_rest_waits(
    start_gateway: Callable[..., Gateway], start_engine: Callable[..., Engine], crowd: Crowd
) -> None:
    engine = start_engine(max_num_seqs=64, itl_ms=20)
    gateway = start_gateway([engine.url], engine_numbers={"max_num_seqs": 2})
    gateway.wait_up()
    raws = crowd.fill(gateway, engine, running=2, waiting=3)
    assert engine.state()["waiting"] == 0
    assert sample(gateway, "gateway_admission_limit") == 2
    waits = crowd.send(gateway, max_tokens=1)
    wait_until(lambda: sample(gateway, "gateway_queue_depth") == 4, 2, "queued")
    time.sleep(0.2)
    leave(raws)
    head = waits.read_until(b"[DONE]").partition(b"\r\n\r\n")[0]
    assert b"x-queue-position: 4" in head
    assert float(head.partition(b"x-queue-wait: ")[2].partition(b"\r\n")[0]) >= 0.2
    wait_until(lambda: sample(gateway, "gateway_requests_in_flight") == 0, 2, "all places given back")
    with gateway.client() as client:
        answer = client.post(URL, json=chat())
    assert (answer.headers["x-queue-position"], answer.headers["x-queue-wait"]) == ("0", "0")


def test_p20_a_client_that_leaves_the_queue_never_reaches_the_engine(
    start_gateway: Callable[..., Gateway], start_engine: Callable[..., Engine], crowd: Crowd
) -> None:
    engine = start_engine(itl_ms=20)
    gateway = start_gateway([engine.url], engine_numbers={"max_num_seqs": 1})
    gateway.wait_up()
    raws = crowd.fill(gateway, engine, running=1, waiting=1)
    raws[1].socket.close()
    wait_until(lambda: sample(gateway, "gateway_queue_depth") == 0, 2, "out of the queue")
    assert sample(gateway, "gateway_cancelled_total", stage="queued") == 1
    raws[0].read_until(b'"content"')
    raws[0].socket.close()
    wait_until(lambda: engine.running() == 0, 2, "the engine rid of it")
    assert sample(gateway, "gateway_cancelled_total", stage="streaming") == 1
    assert engine.state()["aborted"] == 1


def test_p43_p44_a_light_user_passes_a_heavy_one(
    start_gateway: Callable[..., Gateway], start_engine: Callable[..., Engine], crowd: Crowd
) -> None:
    engine = start_engine(itl_ms=20)
    gateway = start_gateway([engine.url], engine_numbers={"max_num_seqs": 8})
    gateway.wait_up()
    with gateway.client() as client:  # both are active; else nothing would be kept back
        assert client.post(URL, json=chat(), headers={"authorization": f"Bearer {OTHER_KEY}"}).status_code == 200
    crowd.fill(gateway, engine, running=7, waiting=20)
    with gateway.client() as client:
        for _ in range(5):
            answer = client.post(URL, json=chat(max_tokens=2), headers={"authorization": f"Bearer {OTHER_KEY}"})
            assert answer.status_code == 200
            assert float(answer.headers["x-queue-wait"]) < 1  # those before it would take 80 s
    assert sample(gateway, "gateway_queue_depth") == 20


def test_p45_a_request_may_ask_to_go_last_and_not_to_go_first(
    start_gateway: Callable[..., Gateway], start_engine: Callable[..., Engine], crowd: Crowd
) -> None:
    engine = start_engine(itl_ms=5)
    gateway = start_gateway([engine.url], engine_numbers={"max_num_seqs": 1})
    gateway.wait_up()
    raws = crowd.fill(gateway, engine, running=1, waiting=0)
    order: list[str] = []
    threads = []
    for number, priority in enumerate(("batch", "normal", "interactive")):
        raw = crowd.send(gateway, f"X-Priority: {priority}", max_tokens=5)

        def read(raw: Raw = raw, priority: str = priority) -> None:
            raw.read_until(b"[DONE]")
            order.append(priority)

        threads.append(threading.Thread(target=read))
        threads[-1].start()
        wait_until(lambda: sample(gateway, "gateway_queue_depth") == number + 1, 2, "queued")  # noqa: B023
    leave(raws)
    for thread in threads:
        thread.join(10)
    assert order == ["normal", "interactive", "batch"]


def test_p46_p48_refusals_say_when_to_come_back(
    start_gateway: Callable[..., Gateway], start_engine: Callable[..., Engine], crowd: Crowd
) -> None:
    engine = start_engine(itl_ms=20)
    admission = {"max_queued": 1, "queue_timeout_s": 1.5}
    gateway = start_gateway([engine.url], engine_numbers={"max_num_seqs": 1}, admission=admission)
    gateway.wait_up()
    raws = crowd.fill(gateway, engine, running=1, waiting=1)
    with gateway.client() as client:
        refused = client.post(URL, json=chat())
        assert refused.status_code == 429
        assert error_of(refused)["code"] == "overloaded"
        assert int(refused.headers["retry-after"]) >= 1
    late = raws[1].read_until(b"}}")
    assert late.startswith(b"HTTP/1.1 429 ")
    assert b"retry-after: " in late
    assert sample(gateway, "gateway_limited_total", reason="queue_full") == 1
    assert sample(gateway, "gateway_limited_total", reason="queue_timeout") == 1
    state = engine.state()
    assert (state["running"], state["waiting"], state["aborted"]) == (1, 0, 0)
    leave(raws)


def test_p47_usage_is_counted_and_not_leaked(gateway: Gateway) -> None:
    counted = sample(gateway, "gateway_tokens_total", kind="completion")
    with gateway.client() as client:
        plain = client.post(URL, json=chat(True, max_tokens=9)).text
        asked = client.post(URL, json=chat(True, max_tokens=9, stream_options={"include_usage": True})).text
        whole = client.post(URL, json=chat(max_tokens=9)).json()
    assert '"usage"' not in plain
    assert plain.endswith("data: [DONE]\n\n")
    usage = json.loads(asked.split("\n\n")[-3].removeprefix("data: "))["usage"]
    assert usage["completion_tokens"] == whole["usage"]["completion_tokens"] == 9
    assert sample(gateway, "gateway_tokens_total", kind="completion") == counted + 27
    assert sample(gateway, "gateway_request_time_per_output_token_seconds_count") >= 2


def test_p47_half_an_answer_is_counted_too(
    start_gateway: Callable[..., Gateway], start_engine: Callable[..., Engine], crowd: Crowd
) -> None:
    engine = start_engine(itl_ms=10)
    gateway = start_gateway([engine.url])
    gateway.wait_up()
    raw = crowd.send(gateway, max_tokens=4000)
    got = raw.read_until(b'"content"')
    while got.count(b'"content"') < 20:
        got += raw.socket.recv(65536)
    raw.socket.close()
    wait_until(lambda: sample(gateway, "gateway_tokens_total", kind="completion") > 0, 2, "counted")
    assert 20 <= sample(gateway, "gateway_tokens_total", kind="completion") <= 40
    assert sample(gateway, "gateway_key_tokens_total", kind="completion") >= 20
