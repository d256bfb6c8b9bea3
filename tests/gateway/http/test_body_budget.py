"""Bytes of bodies in memory, over all connections."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import httpx
import pytest

from gateway.config.settings import Limits
from gateway.http.body_budget import SMALL_BODY, BodyBudget
from gateway.http.messages import Request
from tests.gateway.harness import Engine, Gateway, Raw, chat, post_bytes, wait_until

MIB = 1024 * 1024


def request() -> Request:
    return Request("x", 0.0)


def test_room_is_given_whole_and_in_order() -> None:
    budget = BodyBudget(10 * MIB)
    first, second, third, small = (request() for _ in range(4))
    ready: list[str] = []
    assert budget.enter(first, 8 * MIB, lambda: ready.append("first"))
    assert not budget.enter(second, 4 * MIB, lambda: ready.append("second"))
    assert not budget.enter(third, MIB, lambda: ready.append("third"))  # not past the one who waits
    assert budget.enter(small, SMALL_BODY, lambda: ready.append("small"))
    budget.release(first)
    assert ready == ["second", "third"] and budget.used == 5 * MIB
    for each in (first, second, second, third, small):
        budget.release(each)
    assert (budget.used, budget.waiting) == (0, 0)


def test_one_that_leaves_the_line_lets_the_next_in() -> None:
    budget = BodyBudget(10 * MIB)
    first, second, third = (request() for _ in range(3))
    ready: list[str] = []
    budget.enter(first, 8 * MIB, lambda: None)
    budget.enter(second, 4 * MIB, lambda: ready.append("second"))
    budget.enter(third, MIB, lambda: ready.append("third"))
    budget.release(second)
    assert ready == ["third"] and budget.used == 9 * MIB


def test_chunks_take_as_they_come_and_are_never_kept_waiting() -> None:
    budget = BodyBudget(2 * MIB)
    first, second = request(), request()
    assert budget.grow(first, 1000) and budget.used == 0
    assert budget.grow(first, MIB) and budget.grow(first, 2 * MIB) and budget.used == 2 * MIB
    assert not budget.grow(second, 100_000)
    budget.release(first)
    assert budget.grow(second, 100_000)


def test_what_any_order_of_events_takes_comes_back() -> None:
    pick = random.Random(7)
    budget = BodyBudget(5 * MIB)
    open_: list[Request] = []
    for _ in range(5000):
        if open_ and pick.random() < 0.5:
            each = pick.choice(open_)
            if pick.random() < 0.2:
                budget.arrived(each, 100_000)
            else:
                budget.release(each)
                open_.remove(each)
        else:
            open_.append(each := request())
            if pick.random() < 0.7:
                budget.enter(each, pick.randrange(4 * MIB), lambda: None)
            else:
                budget.grow(each, pick.randrange(MIB))
    for each in open_:
        budget.release(each)
    assert (budget.used, budget.waiting) == (0, 0)


def test_a_limit_below_one_body_is_refused() -> None:
    with pytest.raises(ValueError, match="max_body_bytes_in_flight is 1000"):
        Limits(max_body_bytes_in_flight=1000)


LARGE = 600_000


def small_gateway(
    start_engine: Callable[..., Engine], start_gateway: Callable[..., Gateway], **limits: float
) -> Gateway:
    bounds = {"max_body_bytes": MIB, "max_body_bytes_in_flight": MIB} | limits
    gateway = start_gateway([start_engine().url], limits=bounds)
    gateway.wait_up()
    return gateway


def large(length: int = LARGE) -> bytes:
    body = b'{"model":"tiny","messages":[{"role":"user","content":"x"}],"max_tokens":3,"user":"' + b"y" * length + b'"}'
    return post_bytes(body, f"Content-Length: {len(body)}")


def test_p123_a_body_waits_for_room_and_is_answered(
    start_engine: Callable[..., Engine], start_gateway: Callable[..., Gateway]
) -> None:
    gateway = small_gateway(start_engine, start_gateway)
    data = large()
    with Raw(gateway.port) as first, Raw(gateway.port) as second:
        first.send(data[:-10])
        time.sleep(0.2)
        second.send(data[:200])  # the head: there is no room for this body beside the first one
        time.sleep(0.2)
        with gateway.client() as client:
            assert client.post("/v1/chat/completions", json=chat()).status_code == 200  # small ones need none
        first.send(data[-10:])
        assert b" 200 " in first.read_until(b"\r\n")
        second.send(data[200:])
        assert b" 200 " in second.read_until(b"\r\n")


def test_p123_who_waits_too_long_is_503_and_a_client_that_leaves_gives_its_room_back(
    start_engine: Callable[..., Engine], start_gateway: Callable[..., Gateway]
) -> None:
    gateway = small_gateway(start_engine, start_gateway, body_timeout_s=2)
    data = large()
    with Raw(gateway.port) as first, Raw(gateway.port) as second, Raw(gateway.port) as chunked:
        first.send(data[:-10])
        time.sleep(0.2)
        second.send(data[:200])
        chunked.send(post_bytes(b"", "Transfer-Encoding: chunked"))
        chunked.send(b"7a120\r\n" + b"y" * 500_000 + b"\r\n")
        refused = chunked.read_to_close()
        assert b" 503 " in refused and b"max_body_bytes_in_flight" in refused and b"retry-after: 1" in refused
        answers = (first.read_to_close(), second.read_to_close())
        assert b" 408 " in answers[0]
        assert b" 503 " in answers[1] or b" 408 " in answers[1]
    for _ in range(5):
        with Raw(gateway.port) as gone:
            gone.send(data[:-10])
            time.sleep(0.05)
    wait_until(lambda: _whole(gateway, data) == 200, 5, "room again")


def _whole(gateway: Gateway, data: bytes) -> int:
    with gateway.client() as client:
        answer: httpx.Response = client.post("/v1/chat/completions", content=data.partition(b"\r\n\r\n")[2])
        return answer.status_code
