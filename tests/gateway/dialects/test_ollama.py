"""Ollama's own client against the gateway: a user of it changes one address."""

from __future__ import annotations

import httpx
import pytest
from ollama import Client, ResponseError

from tests.gateway.dialects.ollama_bodies import MESSAGES, lines_of
from tests.gateway.dialects.test_openai import counted
from tests.gateway.harness import POLLED, Engine, Gateway


def test_p59_a_chat_whole(sdk: Client, gateway: Gateway) -> None:
    before = gateway.tokens()
    answer = sdk.chat("tiny", MESSAGES, options={"num_predict": 4})
    assert (answer.message.role, answer.message.content) == ("assistant", "xxxx " * 4)
    assert (answer.done, answer.done_reason, answer.model) == (True, "length", "tiny")
    assert (answer.prompt_eval_count, answer.eval_count) == (2, 4)
    assert counted(gateway, before) == {"prompt": 2, "completion": 4, "cached_prompt": 0}
    assert gateway.metric("gateway_requests_total", endpoint="/api/chat", outcome="ok") > 0


def test_p59_a_chat_streamed(sdk: Client, engine: Engine) -> None:
    engine.turn(ttft_ms=100, itl_ms=20)
    *parts, last = sdk.chat("tiny:latest", MESSAGES, stream=True, options={"num_predict": 5})
    assert [part.message.content for part in parts] == ["xxxx "] * 5
    assert all(part.model == "tiny:latest" and part.created_at for part in parts)
    assert (last.done, last.done_reason, last.message.content) == (True, "length", "")
    assert (last.prompt_eval_count, last.eval_count) == (2, 5)
    # Nanoseconds: a tenth of a second until the first token, 80 ms from that to the last; next to none if it came late.
    assert last.total_duration and last.prompt_eval_duration and last.eval_duration
    assert 90_000_000 < last.prompt_eval_duration < last.total_duration
    assert 0 < last.eval_duration < last.total_duration
    assert last.prompt_eval_duration + last.eval_duration > 150_000_000


def test_p59_a_prompt_whole_and_streamed(sdk: Client, engine: Engine) -> None:
    whole = sdk.generate("tiny", "hello, you", system="be brief", options={"num_predict": 3})
    assert (whole.response, whole.done_reason, whole.eval_count) == ("xxxx " * 3, "length", 3)
    sent = engine.last_body()
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]
    *parts, last = sdk.generate("tiny", "hello, you", stream=True, options={"num_predict": 3})
    assert [part.response for part in parts] == ["xxxx "] * 3
    assert last.done and last.eval_count == 3


def test_p59_streaming_is_what_a_client_gets_that_says_nothing(client: httpx.Client) -> None:
    for path, body in (("/api/chat", {"messages": MESSAGES}), ("/api/generate", {"prompt": "hello"})):
        answer = client.post(path, json={"model": "tiny", **body, "options": {"num_predict": 2}})
        assert answer.headers["content-type"] == "application/x-ndjson"
        assert [line["done"] for line in lines_of(answer)] == [False, False, True]


def test_p59_a_request_without_a_prompt_only_asks_for_the_model(sdk: Client, engine: Engine) -> None:
    before = engine.paths()
    assert sdk.generate("tiny").done_reason == "load"
    assert sdk.chat("tiny").done_reason == "load"
    assert sdk.generate("tiny", keep_alive=0).done_reason == "unload"
    with pytest.raises(ResponseError, match="model not found"):
        sdk.generate("nobody")
    after = engine.paths()
    assert {path for path in after if after[path] != before.get(path, 0)} <= POLLED


def test_p61_embeddings(sdk: Client, engine: Engine) -> None:
    both = sdk.embed("tiny", ["hello", "you there"])
    assert [list(vector) for vector in both.embeddings] == [[0.6, 0.8], [0.6, 0.8]]
    assert both.prompt_eval_count == 3 and both.total_duration
    assert engine.last_body()["truncate_prompt_tokens"] == -1
    assert len(sdk.embed("tiny", "hello", truncate=False, dimensions=2).embeddings) == 1
    assert engine.last_body()["dimensions"] == 2 and "truncate_prompt_tokens" not in engine.last_body()
    assert list(sdk.embeddings("tiny", "hello").embedding) == [0.6, 0.8]
    assert list(sdk.embed("tiny", "").embeddings) == []
    assert list(sdk.embeddings("tiny", "").embedding) == []


def test_p62_models(sdk: Client, gateway: Gateway) -> None:
    (listed,) = sdk.list().models
    assert listed.model == "tiny:latest" and listed.digest and listed.modified_at
    (running,) = sdk.ps().models
    assert (running.name, running.context_length) == ("tiny:latest", 4096)
    assert running.expires_at is not None and running.expires_at.year > 2100
    for name in ("tiny", "tiny:latest"):
        shown = sdk.show(name)
        assert shown.capabilities == ["completion"]
        assert shown.modelinfo is not None and shown.modelinfo["vllm.context_length"] == 4096
    with pytest.raises(ResponseError, match="not found") as unknown:
        sdk.show("llama3.2")
    assert unknown.value.status_code == 404
    assert httpx.get(gateway.url).text == "Ollama is running"
    assert httpx.head(gateway.url).status_code == 200
    assert httpx.get(f"{gateway.url}/api/version").json()["version"].count(".") == 2
