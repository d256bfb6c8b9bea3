"""Several engines, and engines that come and go."""

from __future__ import annotations

import asyncio
import concurrent.futures
import re
import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from gateway.config.settings import EngineSettings, Polling, RoutingSettings
from gateway.core.errors import NoEngineUp
from gateway.core.supervisor import Supervisor
from gateway.core.ticker import Ticker
from gateway.engines.registry import EngineRegistry
from tests.gateway.harness import Engine, Gateway, Raw, chat, chat_bytes, error_of, free_port, post_bytes, wait_until

URL = "/v1/chat/completions"


def ask(gateway: Gateway, count: int, tokens: int = 16) -> list[int]:
    """So many requests at once; their status codes."""
    body = chat_bytes(max_tokens=tokens)

    def one(_: int) -> int:
        with Raw(gateway.port) as raw:
            raw.send(post_bytes(body, f"Content-Length: {len(body)}", "Connection: close"))
            return int(raw.read_to_close().split(b" ")[1])

    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def test_p11_two_engines_share_the_load(
    start_engine: Callable[..., Engine], start_gateway: Callable[..., Gateway]
) -> None:
    engines = [start_engine(itl_ms=50), start_engine(itl_ms=50)]
    gateway = start_gateway([engine.url for engine in engines])
    wait_until(lambda: gateway.metrics().count("gateway_engine_up{") == 2, 5, "both known")
    wait_until(lambda: gateway.metrics().count("} 1.0\ngateway_engine_up") == 1, 5, "both up")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        codes = pool.submit(ask, gateway, 12, 30)
        wait_until(lambda: [engine.running() for engine in engines] == [6, 6], 3, "six each")
        assert codes.result() == [200] * 12


def test_p12_no_engine_up_is_503_and_says_starting_or_down(
    start_engine: Callable[..., Engine], start_gateway: Callable[..., Gateway]
) -> None:
    port = free_port()
    gateway = start_gateway([f"http://127.0.0.1:{port}"])
    with gateway.client() as client:
        starting = client.post(URL, json=chat())
        assert starting.status_code == 503
        assert "is starting" in error_of(starting)["message"]
        assert int(starting.headers["retry-after"]) >= 1
        health = client.get("/health")
        assert health.status_code == 503 and health.headers["retry-after"]
        assert health.json()["engines"][0]["state"] == "starting"
        assert client.get("/livez").status_code == 200
        engine = start_engine(port=port)
        gateway.wait_up()
        assert client.post(URL, json=chat()).status_code == 200
        engine.stop()
        wait_until(lambda: not gateway.is_up(), 2, "noticed")
        down = client.post(URL, json=chat())
        assert down.status_code == 503
        assert "is down" in error_of(down)["message"]
        assert client.get("/health").json()["engines"][0]["state"] == "down"


def test_p12_an_engine_that_refuses_is_503_before_any_poll_has_noticed(
    start_engine: Callable[..., Engine], start_gateway: Callable[..., Gateway]
) -> None:
    engine = start_engine()
    gateway = start_gateway([engine.url], polling={"health_interval_s": 60})
    gateway.wait_up()
    engine.stop()
    with gateway.client() as client:
        refused = client.post(URL, json=chat())
    assert refused.status_code == 503
    assert "connection refused" in error_of(refused)["message"]


def test_p13_an_engine_is_back_two_seconds_after_it_lists_its_model(
    start_engine: Callable[..., Engine], start_gateway: Callable[..., Gateway]
) -> None:
    engine = start_engine()
    port = int(engine.url.rpartition(":")[2])
    gateway = start_gateway([engine.url])
    gateway.wait_up()
    engine.stop()
    wait_until(lambda: not gateway.is_up(), 2, "noticed")
    start_engine(port=port)
    wait_until(gateway.is_up, 2, "back in rotation")
    assert ask(gateway, 1) == [200]


def test_p13_an_engine_that_lists_another_model_gets_nothing(
    start_engine: Callable[..., Engine], start_gateway: Callable[..., Gateway]
) -> None:
    """As when a removed container's address has gone to another service."""
    stranger = start_engine(model="somebody-elses")
    gateway = start_gateway([stranger.url])
    wait_until(lambda: "does not list tiny" in httpx.get(f"{gateway.url}/health").text, 3, "seen through")
    assert ask(gateway, 1) == [503]


def test_p13_an_unhealthy_engine_gets_nothing(start_gateway: Callable[..., Gateway], engine: Engine) -> None:
    gateway = start_gateway([engine.url])
    gateway.wait_up()
    engine.turn(fault="unhealthy")
    wait_until(lambda: not gateway.is_up(), 2, "noticed")
    assert "/health answers 503" in httpx.get(f"{gateway.url}/health").text
    engine.turn(fault="none")
    wait_until(gateway.is_up, 2, "back")


def test_p14_a_refused_connection_costs_no_request(
    start_engine: Callable[..., Engine], start_gateway: Callable[..., Gateway]
) -> None:
    engines = [start_engine(), start_engine()]
    gateway = start_gateway([engine.url for engine in engines], polling={"health_interval_s": 60})
    wait_until(lambda: gateway.metrics().count("} 1.0\ngateway_engine_up") == 1, 5, "both up")
    engines[0].stop()
    assert ask(gateway, 10) == [200] * 10


def test_p14_a_request_that_was_sent_is_never_sent_again(
    start_engine: Callable[..., Engine], start_gateway: Callable[..., Gateway]
) -> None:
    engines = [start_engine(), start_engine()]
    gateway = start_gateway([engine.url for engine in engines])
    wait_until(lambda: gateway.metrics().count("} 1.0\ngateway_engine_up") == 1, 5, "both up")
    for engine in engines:
        engine.turn(fault="mid-stream")
    assert ask(gateway, 2) == [502] * 2
    assert re.findall(r"gateway_retries_total{.*} (.*)", gateway.metrics()) == ["0.0", "0.0"]


def test_p12_a_host_name_that_is_not_known_yet_is_an_engine_that_is_starting(
    start_gateway: Callable[..., Gateway],
) -> None:
    gateway = start_gateway(["http://engine.invalid:8000"])
    wait_until(lambda: "is not known" in httpx.get(f"{gateway.url}/health").text, 10, "said so")
    assert ask(gateway, 1) == [503]


def test_p12_an_engine_that_does_not_answer_polls_is_down(start_gateway: Callable[..., Gateway]) -> None:
    import socket

    with socket.create_server(("127.0.0.1", free_port())) as silent:
        gateway = start_gateway([f"http://127.0.0.1:{silent.getsockname()[1]}"], polling={"health_timeout_s": 0.3})
        wait_until(lambda: "it does not answer" in httpx.get(f"{gateway.url}/health").text, 3, "seen")


def test_p11_requests_at_once_get_a_connection_each(gateway: Gateway, engine: Engine) -> None:
    engine.turn(itl_ms=30)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        codes = pool.submit(ask, gateway, 8, 60)
        wait_until(lambda: engine.running() == 8, 3, "all running at once")
        assert codes.result() == [200] * 8


async def test_p11_every_address_behind_a_name_is_an_engine_and_leaves_with_the_name(
    monkeypatch: pytest.MonkeyPatch, start_engine: Callable[..., Engine]
) -> None:
    port = free_port()
    start_engine(port=port)
    start_engine(port=port, host="127.0.0.2")
    behind = ["127.0.0.1", "127.0.0.2"]

    def lookup(host: str, service: Any, *rest: Any, **more: Any) -> list[Any]:  # noqa: ARG001
        hosts = behind if host == "engine" else [host]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, service)) for each in hosts]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    loop = asyncio.get_running_loop()
    numbers: dict[str, Any] = {"max_num_seqs": 1, "max_num_batched_tokens": 1, "max_model_len": 1, "kv_cache_tokens": 1}
    engine = EngineSettings(name="engine", url=f"http://engine:{port}", models=("tiny",), **numbers)
    polling = Polling(health_interval_s=0.05, resolve_interval_s=0.05)
    registry = EngineRegistry([engine], polling, RoutingSettings(), Ticker(loop, Supervisor()), loop)
    registry.start()

    async def labels_become(expected: set[str]) -> None:
        async with asyncio.timeout(5):
            while {address.label for address in _up(registry)} != expected:  # noqa: ASYNC110 - nothing to wait on
                await asyncio.sleep(0.02)

    try:
        with pytest.raises(NoEngineUp):
            registry.need("tiny")
        await labels_become({f"127.0.0.1:{port}", f"127.0.0.2:{port}"})
        behind.remove("127.0.0.1")
        await labels_become({f"127.0.0.2:{port}"})
        behind.append("127.0.0.1")
        await labels_become({f"127.0.0.1:{port}", f"127.0.0.2:{port}"})
    finally:
        registry.stop()
        await asyncio.sleep(0.05)


def _up(registry: EngineRegistry) -> list[Any]:
    return [address for address in registry.replicas() if address.state == "up"]


def shares_of(engines: list[Engine], send: Callable[[], None]) -> list[int]:
    """How many of the requests that ``send`` makes came to each engine."""
    before = [engine.state()["submitted"] for engine in engines]
    send()
    return [engine.state()["submitted"] - count for engine, count in zip(engines, before, strict=True)]


def conversation(gateway: Gateway, turns: int, session: str = "", text: str = "How do I keep the batch full? ") -> None:
    messages = [{"role": "system", "content": text * 40 * (not session) or "short"}]
    headers = {"x-session-id": session} if session else {}
    with gateway.client() as client:
        for turn in range(turns):
            messages.append({"role": "user", "content": f"{turn} {text}" * (20 * (not session) or 1)})
            assert client.post(URL, json=chat(messages=messages), headers=headers).status_code == 200


def affinity_counts(gateway: Gateway) -> dict[str, float]:
    found = re.findall(r'^gateway_affinity_total{.*result="(\w+)".*} (\S+)$', gateway.metrics(), re.MULTILINE)
    return {result: float(count) for result, count in found}


@pytest.mark.parametrize("session", ["", "anna-1"])
def test_p85_a_conversation_stays_with_the_engine_that_has_read_it(
    start_engine: Callable[..., Engine], start_gateway: Callable[..., Gateway], session: str
) -> None:
    engines = [start_engine(), start_engine()]
    gateway = start_gateway([engine.url for engine in engines], polling={"canary_interval_s": 0})
    wait_until(lambda: gateway.metrics().count("} 1.0\ngateway_engine_up") == 1, 5, "both up")
    assert sorted(shares_of(engines, lambda: conversation(gateway, 8, session))) == [0, 8]
    assert affinity_counts(gateway) == {"kept": 7, "escaped": 0, "new": 1}


def test_p85_without_affinity_engines_take_turns(
    start_engine: Callable[..., Engine], start_gateway: Callable[..., Gateway]
) -> None:
    engines = [start_engine(), start_engine()]
    urls = [engine.url for engine in engines]
    gateway = start_gateway(urls, polling={"canary_interval_s": 0}, routing={"affinity": False})
    wait_until(lambda: gateway.metrics().count("} 1.0\ngateway_engine_up") == 1, 5, "both up")
    assert shares_of(engines, lambda: conversation(gateway, 8)) == [4, 4]


def test_p85_the_same_prompt_from_many_goes_to_both_engines(
    start_engine: Callable[..., Engine], start_gateway: Callable[..., Gateway]
) -> None:
    """Load escapes: everybody has the same system prompt, and one engine could not serve them all."""
    engines = [start_engine(itl_ms=250), start_engine(itl_ms=250)]  # 4 s an answer: all are there at once
    gateway = start_gateway([engine.url for engine in engines], engine={"max_running": 8})
    wait_until(lambda: gateway.metrics().count("} 1.0\ngateway_engine_up") == 1, 5, "both up")
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        tasks = [pool.submit(conversation, gateway, 1) for _ in range(12)]
        wait_until(lambda: min(engine.running() for engine in engines) >= 4, 20, "both have their part")
        for task in tasks:
            task.result()
    assert affinity_counts(gateway)["escaped"] >= 1
