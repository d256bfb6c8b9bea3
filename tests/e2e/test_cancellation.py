"""The real vLLM behind the gateway: clients that leave, a core that freezes, an engine that drains.

It is an engine that reasons; so it is also asked here whether thinking is told apart, and can be turned off.
"""

from __future__ import annotations

import concurrent.futures
import json
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.vllm_engines import VLLM, reasoning_model
from tests.gateway.harness import Gateway, Raw, chat, chat_bytes, error_of, post_bytes, wait_until

pytestmark = [pytest.mark.engine]
URL = "/v1/chat/completions"
# 491 is `</think>`: without it all of the answer is reasoning.
LONG: dict[str, Any] = {"max_tokens": 3900, "ignore_eos": True, "logit_bias": {"491": -100}}
POLLING = {"health_interval_s": 0.5, "frozen_after_s": 3.0, "canary_timeout_s": 5.0, "canary_interval_s": 0}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VLLM]:
    folder = tmp_path_factory.mktemp("vllm")
    words = ["--shutdown-timeout", "30", "--reasoning-parser", "qwen3"]
    engine = VLLM(folder, *words, model=reasoning_model(folder))
    try:
        engine.wait()
        yield engine
    finally:
        engine.stop()


@pytest.fixture
def gateway(engine: VLLM, tmp_path: Path) -> Iterator[Gateway]:
    """One place only, so that a second request has to wait in the gateway."""
    gateway = Gateway(tmp_path, [engine.url], polling=POLLING, engine={"max_running": 1})
    gateway.wait_up()
    yield gateway
    gateway.stop()


def send(gateway: Gateway, stream: bool) -> Raw:
    raw = Raw(gateway.port, timeout_s=30)
    body = chat_bytes(stream, **LONG)
    raw.send(post_bytes(body, f"Content-Length: {len(body)}"))
    return raw


def gauge(gateway: Gateway, name: str) -> float:
    lines = [line for line in gateway.metrics().splitlines() if line.startswith(name + "{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def assert_freed(engine: VLLM, gateway: Gateway) -> None:
    """Nothing runs or waits in the engine, and the one place of the gateway is free: the next request gets it."""
    took = wait_until(lambda: engine.running() == 0, 5, "the engine goes on for a client that has left")
    sys.stdout.write(f"the engine was idle {took:.2f} s after the client had left\n")
    assert gauge(gateway, "gateway_engine_requests_in_flight") == 0
    assert gauge(gateway, "gateway_queue_depth") == 0
    with gateway.client(30) as client:
        assert client.post(URL, json=chat(max_tokens=2)).status_code == 200


def test_a_client_that_leaves_its_stream(engine: VLLM, gateway: Gateway) -> None:
    body = json.dumps({"model": "tiny", "prompt": "count", "stream": True} | LONG).encode()
    with Raw(gateway.port, timeout_s=30) as raw:
        raw.send(post_bytes(body, f"Content-Length: {len(body)}", path="/v1/completions"))
        raw.read_until(b'"text"')
        wait_until(lambda: engine.running() == 1, 5, "it runs")
    assert_freed(engine, gateway)


def test_a_client_that_leaves_before_its_whole_answer(engine: VLLM, gateway: Gateway) -> None:
    before = engine.metric("generation_tokens_total")
    with send(gateway, stream=False):
        wait_until(lambda: engine.running() == 1, 5, "it runs")
    assert_freed(engine, gateway)
    assert engine.metric("generation_tokens_total") - before < LONG["max_tokens"]


def test_a_client_that_leaves_while_the_model_reasons(engine: VLLM, gateway: Gateway) -> None:
    with send(gateway, stream=True) as raw:
        events = raw.read_until(b'"reasoning":" ')
        assert b'"content":" ' not in events
        wait_until(lambda: engine.running() == 1, 5, "it runs")
    assert_freed(engine, gateway)


def test_a_client_that_leaves_the_queue(engine: VLLM, gateway: Gateway) -> None:
    with send(gateway, stream=True) as first:
        first.read_until(b'"reasoning":" ')
        with send(gateway, stream=True):
            wait_until(lambda: gauge(gateway, "gateway_queue_depth") == 1, 5, "the second waits")
        wait_until(lambda: gauge(gateway, "gateway_queue_depth") == 0, 5, "it waits no more")
        assert engine.running() == 1
        first.read_until(b'"reasoning":" ')
    assert_freed(engine, gateway)


SHORT: dict[str, Any] = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 24, "model": "tiny"}


def deltas(gateway: Gateway, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects of a stream, of whichever API."""
    with gateway.client(60) as client:
        text = client.post(path, json=body | {"stream": True}).text
    lines = [line.removeprefix("data: ") for line in text.splitlines()]
    return [json.loads(line) for line in lines if line.startswith("{")]


def told_by_openai(gateway: Gateway, **switch: Any) -> set[str]:
    with gateway.client(60) as client:
        message = client.post(URL, json=SHORT | switch).json()["choices"][0]["message"]
    whole = {name for name in ("reasoning", "content") if message.get(name)}
    choices = [choice["delta"] for one in deltas(gateway, URL, SHORT | switch) for choice in one["choices"]]
    assert {name for name in ("reasoning", "content") for delta in choices if delta.get(name)} == whole
    return whole


def told_by_anthropic(gateway: Gateway, **switch: Any) -> set[str]:
    with gateway.client(60) as client:
        blocks = client.post("/v1/messages", json=SHORT | switch).json()["content"]
    whole = {str(block["type"]) for block in blocks if block.get("text") or block.get("thinking")}
    events = deltas(gateway, "/v1/messages", SHORT | switch)
    kinds = {event["delta"]["type"] for event in events if event["type"] == "content_block_delta"}
    assert {kind.removesuffix("_delta") for kind in kinds - {"signature_delta"}} == whole
    return whole


def told_by_ollama(gateway: Gateway, **switch: Any) -> set[str]:
    body = SHORT | {"options": {"num_predict": 24}} | switch
    with gateway.client(60) as client:
        message = client.post("/api/chat", json=body | {"stream": False}).json()["message"]
    whole = {name for name in ("thinking", "content") if message.get(name)}
    parts = [one["message"] for one in deltas(gateway, "/api/chat", body)]
    assert {name for name in ("thinking", "content") for part in parts if part.get(name)} == whole
    return whole


def test_thinking_is_told_apart_and_turned_off_in_each_api(gateway: Gateway) -> None:
    """Without an end of its thinking all that this model writes is thought; turned off, all of it is said."""
    greedy: dict[str, Any] = {"temperature": 0}
    assert told_by_openai(gateway, **greedy) == {"reasoning"}
    assert told_by_openai(gateway, **greedy, reasoning_effort="none") == {"content"}
    assert told_by_openai(gateway, **greedy, chat_template_kwargs={"enable_thinking": False}) == {"content"}
    assert told_by_anthropic(gateway, **greedy) == {"thinking"}
    assert told_by_anthropic(gateway, **greedy, thinking={"type": "disabled"}) == {"text"}
    assert told_by_ollama(gateway, think=True) == {"thinking"}
    assert told_by_ollama(gateway, think="low") == {"thinking"}
    assert told_by_ollama(gateway, think=False) == {"content"}


def test_a_frozen_core_is_out_in_seconds_and_back_in_five(engine: VLLM, tmp_path: Path) -> None:
    """vLLM's /health says 200 all the time. A lone engine would be waited for, two minutes where nothing is said."""
    gateway = Gateway(tmp_path, [engine.url], polling=POLLING | {"lone_frozen_after_s": 3.0})
    gateway.wait_up()
    core = engine.core()
    try:
        with concurrent.futures.ThreadPoolExecutor(1) as pool, gateway.client(60) as client:
            whole = pool.submit(httpx.Client.post, client, URL, json=chat(**LONG))
            with client.stream("POST", URL, json=chat(True, **LONG)) as stream:
                lines = stream.iter_lines()
                next(lines)
                wait_until(lambda: engine.running() == 2, 5, "both run")
                core.send_signal(signal.SIGSTOP)
                began = time.monotonic()
                last = [line for line in lines if line][-1]
            took = time.monotonic() - began
            sys.stdout.write(f"frozen for {took:.1f} s when its requests were ended (frozen_after_s is 3)\n")
            assert json.loads(last.removeprefix("data: "))["error"]["code"] == "engine_silent"
            assert whole.result().status_code == 504
            assert took < 15
        assert engine.get("/health") == ""
        assert not gateway.is_up()
        assert "is frozen" in httpx.get(f"{gateway.url}/health").text
        core.send_signal(signal.SIGCONT)
        took = wait_until(gateway.is_up, 5, "back in rotation")
        sys.stdout.write(f"back {took:.1f} s after it went on\n")
        wait_until(lambda: engine.running() == 0, 5, "what was cut is gone")
    finally:
        core.send_signal(signal.SIGCONT)
        gateway.stop()


def test_an_engine_that_drains_finishes_and_gets_nothing_new(engine: VLLM, tmp_path: Path) -> None:
    """Last of this file: afterwards nothing runs."""
    gateway = Gateway(tmp_path, [engine.url], polling=POLLING)
    gateway.wait_up()
    try:
        with gateway.client(60) as client:
            body = chat(True, **(LONG | {"max_tokens": 1500, "stream_options": {"include_usage": True}}))
            with client.stream("POST", URL, json=body) as stream:
                lines = stream.iter_lines()
                next(lines)
                engine.process.terminate()
                time.sleep(0.5)
                refused = client.post(URL, json=chat())
                rest = [line for line in lines if line]
            assert refused.status_code == 503
            assert "it is ending" in error_of(refused)["message"]
            # On a busy machine an event holds several tokens.
            *_, usage, done = rest
            assert done == "data: [DONE]"
            assert json.loads(usage.removeprefix("data: "))["usage"]["completion_tokens"] == 1500
        engine.process.wait(20)
        wait_until(lambda: "refused" in httpx.get(f"{gateway.url}/health").text, 5, "gone")
    finally:
        gateway.stop()
