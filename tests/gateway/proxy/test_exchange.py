"""Engines that break, clients that leave, clients that do not read."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from openai import APIError, OpenAI

from tests.gateway.harness import KEY, Engine, Gateway, Raw, chat, chat_bytes, error_of, post_bytes, wait_until

URL = "/v1/chat/completions"


def events_of(body: bytes) -> list[Any]:
    """The events of a stream; [DONE] as the string it is."""
    assert body.endswith(b"\n\n")
    found = [event.removeprefix(b"data: ") for event in body[:-2].split(b"\n\n")]
    return [event.decode() if event == b"[DONE]" else json.loads(event) for event in found]


def outcome_count(gateway: Gateway, outcome: str) -> float:
    """The sum of gateway_requests_total over one outcome."""
    lines = [line for line in gateway.metrics().splitlines() if line.startswith("gateway_requests_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines if f'outcome="{outcome}"' in line)


@pytest.mark.parametrize("fault", ["before-headers", "garbage"])
@pytest.mark.parametrize("stream", [True, False])
def test_p15_an_engine_that_breaks_before_the_first_byte_is_502(
    start_engine: Callable[..., Engine], start_gateway: Callable[..., Gateway], fault: str, stream: bool
) -> None:
    engine = start_engine()
    gateway = start_gateway([engine.url], polling={"health_interval_s": 30})
    gateway.wait_up()
    engine.turn(fault=fault)
    with gateway.client() as client:
        broken = client.post(URL, json=chat(stream))
    assert broken.status_code == 502
    assert error_of(broken)["code"] == "engine_broken"
    assert outcome_count(gateway, "engine_error") == 1


def test_p15_an_answer_cut_in_the_middle_is_502(client: httpx.Client, engine: Engine) -> None:
    engine.turn(fault="mid-stream")
    broken = client.post(URL, json=chat())
    assert broken.status_code == 502
    assert error_of(broken)["code"] == "engine_broken"


@pytest.mark.parametrize("stream", [True, False])
def test_p16_a_silent_engine_is_504_and_its_request_cancelled(
    start_gateway: Callable[..., Gateway], engine: Engine, stream: bool
) -> None:
    gateway = start_gateway([engine.url], limits={"first_token_timeout_s": 0.5})
    gateway.wait_up()
    aborted = engine.state()["aborted"]
    engine.turn(fault="stall")
    with gateway.client() as client:
        silent = client.post(URL, json=chat(stream))
    assert silent.status_code == 504
    assert error_of(silent)["code"] == "engine_silent"
    wait_until(lambda: engine.state()["aborted"] == aborted + 1, 1, "the engine rid of the request")


def test_p16_a_stream_that_falls_silent_ends_with_an_error_event(
    start_gateway: Callable[..., Gateway], engine: Engine
) -> None:
    gateway = start_gateway([engine.url], limits={"idle_timeout_s": 0.5})
    gateway.wait_up()
    aborted = engine.state()["aborted"]
    engine.turn(itl_ms=30)
    with gateway.client() as client, client.stream("POST", URL, json=chat(True, max_tokens=500)) as response:
        pieces = response.iter_raw()
        body = next(pieces)
        engine.turn(fault="stall")
        body += b"".join(pieces)
    last = events_of(body)[-1]
    assert last["error"]["code"] == "engine_silent"
    assert outcome_count(gateway, "engine_timeout") == 1
    wait_until(lambda: engine.state()["aborted"] == aborted + 1, 1, "the engine rid of the request")


def test_p17_a_stream_that_breaks_ends_with_an_error_event_and_no_done(gateway: Gateway, engine: Engine) -> None:
    engine.turn(fault="mid-stream")
    before = outcome_count(gateway, "cut")
    body = chat_bytes(stream=True, max_tokens=8)
    with Raw(gateway.port) as raw:
        raw.send(post_bytes(body, f"Content-Length: {len(body)}"))
        raw.read_until(b"\r\n0\r\n\r\n")
    wait_until(lambda: not gateway.is_up(), 5, "it has to bring a token, and cannot")
    engine.turn(fault="none")
    gateway.wait_up()
    engine.turn(fault="mid-stream")
    with gateway.client() as client:
        events = events_of(client.post(URL, json=chat(True, max_tokens=8)).content)
    assert events[-1]["error"]["code"] == "engine_broken"
    assert "[DONE]" not in events
    assert [event["choices"][0]["delta"] for event in events[1:-1]] == [{"content": "xxxx "}] * 3
    assert outcome_count(gateway, "cut") - before == 2


def test_p17_the_openai_client_raises_the_error_event(gateway: Gateway, engine: Engine) -> None:
    engine.turn(fault="mid-stream")
    with OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0) as client:
        stream = client.chat.completions.create(model="tiny", messages=[], stream=True, max_tokens=8)
        with pytest.raises(APIError, match="closed the connection"):
            list(stream)


def test_p18_a_stream_without_done_is_counted_as_cut(gateway: Gateway, client: httpx.Client, engine: Engine) -> None:
    engine.turn(fault="no-done")
    before = outcome_count(gateway, "cut")
    events = events_of(client.post(URL, json=chat(True, max_tokens=2)).content)
    assert "ended the stream before it was complete" in events[-1]["error"]["message"]
    assert outcome_count(gateway, "cut") - before == 1


def test_p19_an_engines_own_error_event_is_counted_as_its_error(
    gateway: Gateway, client: httpx.Client, engine: Engine
) -> None:
    engine.turn(fault="error-event")
    before = outcome_count(gateway, "engine_error")
    events = events_of(client.post(URL, json=chat(True, max_tokens=4)).content)
    assert events[-2]["error"]["message"] == "EngineCore encountered an issue."
    assert outcome_count(gateway, "engine_error") - before == 1


@pytest.mark.parametrize("way", ["FIN", "RST"])
@pytest.mark.parametrize("stream", [True, False])
def test_p20_a_client_that_leaves_frees_the_engine(gateway: Gateway, engine: Engine, stream: bool, way: str) -> None:
    engine.turn(itl_ms=100)
    before = outcome_count(gateway, "client_gone")
    body = chat_bytes(stream, max_tokens=1000)
    raws = [Raw(gateway.port) for _ in range(8)]
    for raw in raws:
        raw.send(post_bytes(body, f"Content-Length: {len(body)}"))
        if stream:
            raw.read_until(b"data: ")
    wait_until(lambda: engine.running() == 8, 5, "all running")
    for raw in raws:
        if way == "RST":
            raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw.socket.close()
    wait_until(lambda: engine.running() == 0, 1, "the engine rid of all")
    wait_until(lambda: outcome_count(gateway, "client_gone") - before == 8, 1, "all counted")
    assert "gateway_requests_in_flight 0.0" in gateway.metrics()


def test_p20_a_client_that_leaves_while_the_engine_has_said_nothing(gateway: Gateway, engine: Engine) -> None:
    engine.turn(ttft_ms=60_000)
    body = chat_bytes(stream=True)
    with Raw(gateway.port) as raw:
        raw.send(post_bytes(body, f"Content-Length: {len(body)}"))
        wait_until(lambda: engine.running() == 1, 5, "running")
    wait_until(lambda: engine.running() == 0, 1, "the engine rid of it")


def test_p20_a_thousand_clients_that_leave_leave_nothing_behind(gateway: Gateway, engine: Engine) -> None:
    engine.turn(ttft_ms=5)
    body = chat_bytes(stream=True, max_tokens=1000)
    for _ in range(1000):
        with Raw(gateway.port) as raw:
            raw.send(post_bytes(body, f"Content-Length: {len(body)}"))
    wait_until(lambda: "gateway_requests_in_flight 0.0" in gateway.metrics(), 2, "no place taken")
    wait_until(lambda: engine.state()["running"] + engine.state()["waiting"] == 0, 1, "the engine rid of all")
    wait_until(lambda: engine.state()["connections"] <= 5, 2, "no connection kept to the engine")
    with gateway.client() as client:
        assert client.post(URL, json=chat()).status_code == 200


def test_p21_a_slow_reader_holds_the_engine_back(start_gateway: Callable[..., Gateway], engine: Engine) -> None:
    gateway = start_gateway([engine.url])
    gateway.wait_up()
    engine.turn(itl_ms=0, token_chars=20_000)
    body = chat_bytes(stream=True, max_tokens=4000)
    before = gateway.rss_mib()
    raws = [Raw(gateway.port) for _ in range(4)]
    for raw in raws:
        raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
        raw.send(post_bytes(body, f"Content-Length: {len(body)}"))
    wait_until(lambda: engine.running() == 4, 5, "all four run")
    time.sleep(1.5)  # what could pile up in the gateway would do so now
    assert engine.running() == 4
    assert gateway.rss_mib() - before < 12
    assert raws[0].count_until(b"data: [DONE]") > 4000 * 20_000
    assert gateway.rss_mib() - before < 12
    for raw in raws:
        raw.socket.close()
    wait_until(lambda: engine.running() == 0, 1, "the engine rid of those that left unread")


def test_p21_a_reader_that_has_stopped_is_given_up(start_gateway: Callable[..., Gateway], engine: Engine) -> None:
    gateway = start_gateway([engine.url], limits={"idle_timeout_s": 0.5})
    gateway.wait_up()
    engine.turn(itl_ms=0, token_chars=20_000)
    body = chat_bytes(stream=True, max_tokens=4000)
    with Raw(gateway.port) as raw:
        raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
        raw.send(post_bytes(body, f"Content-Length: {len(body)}"))
        wait_until(lambda: outcome_count(gateway, "client_gone") == 1, 5, "given up")
        wait_until(lambda: engine.running() == 0, 1, "the engine rid of it")


def test_p9_over_the_limit_is_429_and_the_place_comes_back(
    start_gateway: Callable[..., Gateway], engine: Engine
) -> None:
    gateway = start_gateway([engine.url], limits={"max_in_flight": 2, "first_token_timeout_s": 1})
    gateway.wait_up()
    engine.turn(ttft_ms=60_000)
    body = chat_bytes(stream=True)
    with gateway.client() as client:
        for leave in ("client", "timeout"):
            raws = [Raw(gateway.port) for _ in range(2)]
            for raw in raws:
                raw.send(post_bytes(body, f"Content-Length: {len(body)}"))
            wait_until(lambda: engine.running() == 2, 5, "both places taken")
            refused = client.post(URL, json=chat())
            assert refused.status_code == 429
            assert int(refused.headers["retry-after"]) >= 1
            assert error_of(refused)["code"] == "overloaded"
            for raw in raws:
                if leave == "timeout":
                    raw.read_until(b"engine_silent")
                raw.socket.close()
            wait_until(lambda: "gateway_requests_in_flight 0.0" in gateway.metrics(), 2, "both places back")
        engine.turn(ttft_ms=20)
        assert client.post(URL, json=chat()).status_code == 200
    assert outcome_count(gateway, "overloaded") == 2
