"""Structured output that is stuck while plain requests go on."""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx

from tests.gateway.engines.watched import QUICK, URL, engine_health, wait_all_up
from tests.gateway.harness import Engine, Gateway, chat, error_of, wait_until

SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}
OFTEN = QUICK | {"structured_interval_s": 0.5, "frozen_after_s": 60.0}


def structured(**more: Any) -> dict[str, Any]:
    return chat(response_format=SCHEMA, **more)


def stuck(gateway: Gateway) -> float:
    return gateway.metric("gateway_structured_output_stuck")


def test_p152_p173_it_is_seen_told_and_kept_from_those_who_would_wait(
    start_engine: Callable[..., Engine], start_gateway: Callable[..., Gateway]
) -> None:
    engine = start_engine()
    gateway = start_gateway([engine.url], polling=OFTEN)
    gateway.wait_up()
    with gateway.client(30) as client, concurrent.futures.ThreadPoolExecutor(2) as pool:
        assert client.post(URL, json=structured()).status_code == 200
        engine.turn(fault="grammar")
        held = [pool.submit(client.post, URL, json=structured(stream=stream)) for stream in (True, False)]
        wait_until(lambda: stuck(gateway) == 1, 10, "seen")
        # Those that waited for it end, and say why; new ones are refused at once.
        for answer in held:
            assert answer.result().status_code == 504 and "is stuck" in error_of(answer.result())["message"]
        refused = client.post(URL, json=structured())
        assert (refused.status_code, error_of(refused)["code"]) == (503, "structured_output_stuck")
        assert refused.headers["retry-after"] == "30"
        # Plain ones go on, and /health says both.
        assert client.post(URL, json=chat()).status_code == 200
        health = engine_health(gateway)
        assert gateway.is_up() and "structured output is stuck" in health["reason"]
        # And so that a program beside the engine can end it.
        assert health["structured"] == "stuck" and health["stuck"][0].keys() == {"since"}
        (inside,) = httpx.get(f"{gateway.watched}/health").json()["engines"]
        assert inside["stuck"] == [health["stuck"][0] | {"address": engine.url.removeprefix("http://")}]
        seconds = time.time() - datetime.fromisoformat(health["stuck"][0]["since"]).timestamp()
        assert -1 < seconds < 30
        engine.turn(fault="none")
        wait_until(lambda: stuck(gateway) == 0, 10, "seen that it is over")
        assert client.post(URL, json=structured()).status_code == 200
        assert {"reason", "structured", "stuck"}.isdisjoint(engine_health(gateway))


def test_p152_another_engine_takes_structured_requests(
    start_engine: Callable[..., Engine], start_gateway: Callable[..., Gateway]
) -> None:
    engines = [start_engine(), start_engine()]
    gateway = start_gateway([engine.url for engine in engines], polling=OFTEN)
    wait_all_up(gateway, 2)
    with gateway.client(30) as client:
        for _ in range(4):
            assert client.post(URL, json=structured()).status_code == 200
        engines[0].turn(fault="grammar")
        wait_until(lambda: stuck(gateway) == 1 or client.post(URL, json=structured()).status_code == 0, 15, "seen")
        assert [client.post(URL, json=structured()).status_code for _ in range(6)] == [200] * 6
        assert [client.post(URL, json=chat()).status_code for _ in range(6)] == [200] * 6


def test_p152_an_engine_that_is_never_asked_for_it_is_never_tried(
    start_engine: Callable[..., Engine], start_gateway: Callable[..., Gateway]
) -> None:
    engine = start_engine()
    gateway = start_gateway([engine.url], polling=OFTEN)
    gateway.wait_up()
    with gateway.client() as client:
        for _ in range(10):
            client.post(URL, json=chat())
    submitted = engine.state()["submitted"]
    wait_until(lambda: engine.paths()["GET /health"] > 10, 10, "polled for a while")
    assert engine.state()["submitted"] == submitted
