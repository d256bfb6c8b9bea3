"""Engines that freeze, come late, or fail: what the gateway makes of them, seen from outside."""

from __future__ import annotations

from tests.gateway.engines.watched import (
    QUICK,
    URL,
    StartEngine,
    StartGateway,
    breaker_states,
    engine_health,
    wait_all_up,
)
from tests.gateway.harness import chat, free_port, wait_until


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
