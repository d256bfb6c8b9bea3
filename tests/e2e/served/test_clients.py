"""Clients of three APIs, through the gateway, to the real vLLM; and requests that it must refuse without breaking."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from anthropic import Anthropic, BadRequestError
from anthropic.types import TextBlock
from hypothesis import given, settings
from ollama import Client, ResponseError
from openai import OpenAI
from openai.types.responses import ResponseCompletedEvent

from tests.e2e.served.up import Up
from tests.gateway.fuzz.shapes import GOOD, assert_is_answer, exhausted, spoiled

pytestmark = [pytest.mark.engine]

MESSAGES = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def http(up: Up) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=up.gateway, headers={"authorization": f"Bearer {up.key}"}, timeout=60) as client:
        yield client


def tokens(up: Up) -> tuple[int, int]:
    """What the gateway has counted: prompt and completion."""
    with urllib.request.urlopen(f"{up.gateway}/metrics", timeout=10) as answer:
        text = str(answer.read(), "utf-8")
    kinds = ("prompt", "completion")
    found = [re.search(rf'^gateway_tokens_total{{.*kind="{kind}".*}} (\S+)$', text, re.MULTILINE) for kind in kinds]
    return (int(float(found[0][1])), int(float(found[1][1]))) if found[0] and found[1] else (0, 0)


def test_anthropics_client(up: Up) -> None:
    with Anthropic(base_url=up.gateway, api_key=up.key, max_retries=0) as sdk:
        before = tokens(up)
        whole = sdk.messages.create(model="tiny", max_tokens=8, messages=[{"role": "user", "content": "Hello"}])
        assert any(isinstance(block, TextBlock) and block.text for block in whole.content)
        with sdk.messages.stream(model="tiny", max_tokens=8, messages=[{"role": "user", "content": "Hello"}]) as stream:
            assert "".join(stream.text_stream)
            last = stream.get_final_message()
        prompt = sdk.messages.count_tokens(model="tiny", messages=[{"role": "user", "content": "Hello"}]).input_tokens
        after = tokens(up)
        written = whole.usage.output_tokens + last.usage.output_tokens
        assert (after[0] - before[0], after[1] - before[1]) == (2 * prompt, written)
        with pytest.raises(BadRequestError) as caught:
            sdk.messages.create(model="tiny", max_tokens=1, messages=[{"role": "user", "content": "word " * 9000}])
        assert caught.value.type == "invalid_request_error"


def test_openais_responses(up: Up) -> None:
    with up.client() as sdk:
        before = tokens(up)
        whole = sdk.responses.create(model="tiny", input="Hello", max_output_tokens=8)
        events = list(sdk.responses.create(model="tiny", input="Hello", max_output_tokens=8, stream=True))
        assert isinstance(events[-1], ResponseCompletedEvent)
        last = events[-1].response.usage
        after = tokens(up)
    assert whole.usage is not None and last is not None
    assert after[0] - before[0] == whole.usage.input_tokens + last.input_tokens
    assert after[1] - before[1] == whole.usage.output_tokens + last.output_tokens


def test_ollamas_client(up: Up) -> None:
    with Client(up.gateway, headers={"authorization": f"Bearer {up.key}"}) as sdk:
        before = tokens(up)
        whole = sdk.chat("tiny:latest", MESSAGES, options={"num_predict": 8, "seed": 3, "top_k": 40, "stop": ["\n\n"]})
        *parts, last = sdk.chat("tiny", MESSAGES, stream=True, options={"num_predict": 8})
        assert whole.message.content and parts and last.done and last.eval_count
        assert last.total_duration and last.eval_duration and last.prompt_eval_count == whole.prompt_eval_count
        after = tokens(up)
        assert after[1] - before[1] == (whole.eval_count or 0) + last.eval_count
        # More than the context is as much as there is room for; so is nothing said, of a raw prompt too.
        assert sdk.generate("tiny", "Hello", options={"num_predict": 10**6, "stop": ["a"]}).done
        assert sdk.generate("tiny", "Hello", raw=True, options={"stop": ["a"]}).done
        assert sdk.generate("tiny", "Hello", format="json", options={"num_predict": 4}).response
        schema = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
        assert sdk.generate("tiny", "Hello", format=schema, think=False, options={"num_predict": 4}).response
        with pytest.raises(ResponseError) as caught:
            sdk.embed("tiny", "Hello")
        assert (caught.value.status_code, "does not serve" in caught.value.error) == (404, True)
        with pytest.raises(ResponseError, match="takes no pictures here"):
            sdk.chat("tiny", [{"role": "user", "content": "?", "images": [b"\x89PNG\r\n\x1a\n"]}])


def test_tools_are_taken_as_shipped(up: Up, http: httpx.Client) -> None:
    """Open WebUI sends some with every message, or an empty list; agents ask first what the model can do."""
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    function = {"type": "function", "function": {"name": "get_weather", "parameters": schema}}
    anthropics = {"name": "get_weather", "input_schema": schema}
    asked = {"model": "tiny", "messages": MESSAGES, "max_tokens": 4, "stream": False}
    for path, tool in (("/v1/chat/completions", function), ("/v1/messages", anthropics), ("/api/chat", function)):
        for tools in ([tool], []):
            answer = http.post(path, json=asked | {"tools": tools, "options": {"num_predict": 4}})
            assert answer.status_code == 200, answer.text
    assert http.post("/api/show", json={"model": "tiny"}).json()["capabilities"] == ["completion", "tools"]
    card = http.get("/v1/models/tiny").json()
    assert (card["context_length"], card["capabilities"]) == (4096, ["completion", "tools"])
    with Anthropic(base_url=up.gateway, api_key=up.key, max_retries=0) as sdk:
        can = sdk.models.retrieve("tiny").capabilities
        assert can is not None and not can.thinking.supported
        # A budget is a ceiling, and this model is below any.
        thinking: Any = {"type": "enabled", "budget_tokens": 1024}
        asked |= {"max_tokens": 1100, "stop_sequences": ["a", "e", "o"]}
        assert http.post("/v1/messages", json=asked | {"thinking": thinking}).status_code == 200


def test_openais_client_sees_what_this_model_is_not_for(up: Up, http: httpx.Client) -> None:
    assert http.post("/tokenize", json={"model": "tiny", "prompt": "Hello"}).json()["count"] > 0
    assert isinstance(up.client(), OpenAI)
    for path in ("/v1/embeddings", "/v1/score", "/rerank", "/classify", "/pooling"):
        refused = http.post(path, json={"model": "tiny", "input": "x", "text_1": "a", "text_2": "b"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "not_served")


@pytest.mark.parametrize("path", sorted(GOOD))
def test_the_engine_refuses_every_kind_in_every_place_and_never_breaks(http: httpx.Client, path: str) -> None:
    """Several at once: where a body's bound is spoiled, the answer goes on to the end of the context."""
    with ThreadPoolExecutor(16) as pool:
        for answer in pool.map(lambda body: http.post(path, content=body), exhausted(path)):
            assert_is_answer(path, answer.status_code, answer.content)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(request=spoiled())
def test_the_engine_refuses_what_is_spoiled_and_never_breaks(http: httpx.Client, request: tuple[str, bytes]) -> None:
    path, body = request
    answer = http.post(path, content=body)
    assert_is_answer(path, answer.status_code, answer.content)


@pytest.mark.parametrize("path", sorted(GOOD))
def test_the_deepest_body_that_passes_is_no_fault_in_the_engine(http: httpx.Client, path: str) -> None:
    body: dict[str, Any] = {"model": "tiny", **GOOD[path]}
    for name in list(body):
        deep = b"[" * 250 + b"]" * 250
        rest = b",".join(b'"%b":1' % other.encode() for other in body if other not in ("model", name))
        sent = b'{"model":"tiny","%b":%b%b}' % (name.encode(), deep, b"," + rest if rest else b"")
        if name != "model":
            answer = http.post(path, content=sent)
            assert_is_answer(path, answer.status_code, answer.content)
