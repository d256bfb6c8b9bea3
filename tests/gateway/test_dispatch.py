"""To another engine only while nobody can have seen the request."""

from __future__ import annotations

from collections.abc import Callable

from tests.gateway.harness import Engine, Gateway, chat, wait_until
from tests.gateway.test_tokens import sample

URL = "/v1/chat/completions"


def test_p14_an_engine_that_refuses_costs_no_request(
    start_gateway: Callable[..., Gateway], start_engine: Callable[..., Engine]
) -> None:
    engines = [start_engine(), start_engine()]
    polling = {"health_interval_s": 5.0}
    gateway = start_gateway([engine.url for engine in engines], polling=polling)
    gateway.wait_up()
    wait_until(lambda: sample(gateway, "gateway_engine_up") == 2, 10, "both up")
    engines[0].turn(fault="refuse")
    with gateway.client() as client:
        assert [client.post(URL, json=chat()).status_code for _ in range(6)] == [200] * 6
    assert sample(gateway, "gateway_retries_total") == 1
    assert sample(gateway, "gateway_engine_requests_in_flight") == 0
