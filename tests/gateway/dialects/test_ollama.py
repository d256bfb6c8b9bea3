"""Ollama's own client against the gateway: a user of it changes one address."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from ollama import Client, ResponseError

from tests.gateway.dialects.test_openai import counted
from tests.gateway.harness import KEY, POLLED, Engine, Gateway, Raw, post_bytes

MESSAGES = [{"role": "user", "content": "hello, you"}]
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather in a given city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture
def sdk(gateway: Gateway) -> Iterator[Client]:
    with Client(gateway.url, headers={"authorization": f"Bearer {KEY}"}) as client:
        yield client


def lines_of(response: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in response.text.splitlines()]


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
    # Nanoseconds: a tenth of a second until the first token, 80 ms from that to the last; less if the first came late.
    assert last.total_duration and last.prompt_eval_duration and last.eval_duration
    assert 90_000_000 < last.prompt_eval_duration < last.total_duration
    assert 20_000_000 < last.eval_duration < last.total_duration
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


def test_p60_options_are_those_that_vllm_knows(sdk: Client, engine: Engine) -> None:
    options = {
        "num_predict": 7, "temperature": 0.5, "top_p": 0.9, "top_k": 20, "min_p": 0.1, "seed": 42, "stop": ["\n"],
        "repeat_penalty": 1.2, "presence_penalty": 1.5, "frequency_penalty": 1, "num_ctx": 1024, "num_gpu": 1,
        "mirostat": 2, "num_keep": 5, "typical_p": 0.7,
    }  # fmt: skip
    sdk.chat("tiny", MESSAGES, options=options, keep_alive="5m")
    assert engine.last_body() == {
        "model": "tiny", "messages": MESSAGES, "stream": False, "max_tokens": 7, "temperature": 0.5, "top_p": 0.9,
        "top_k": 20, "min_p": 0.1, "seed": 42, "stop": ["\n"], "repetition_penalty": 1.2, "presence_penalty": 1.5,
        "frequency_penalty": 1,
    }  # fmt: skip


@pytest.mark.parametrize(("asked", "sent"), [(-1, None), (-2, None), (0, None), (5.0, 5), (10**9, 4096)])
def test_p60_how_long_an_answer_may_be(client: httpx.Client, engine: Engine, asked: float, sent: int | None) -> None:
    engine.turn(ttft_ms=0, itl_ms=0)
    body = {"model": "tiny", "messages": MESSAGES, "stream": False, "options": {"num_predict": asked, "seed": -1}}
    assert client.post("/api/chat", json=body).status_code == 200
    assert engine.last_body().get("max_tokens") == sent
    assert "seed" not in engine.last_body()


def test_p60_formats(sdk: Client, engine: Engine) -> None:
    sdk.chat("tiny", MESSAGES, format="json")
    assert engine.last_body()["response_format"] == {"type": "json_object"}
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}}
    sdk.generate("tiny", "hello", format=schema)
    assert engine.last_body()["response_format"]["json_schema"]["schema"] == schema


def test_p60_tools_and_their_calls(sdk: Client, engine: Engine) -> None:
    engine.turn(answer="tools")
    answer = sdk.chat("tiny", MESSAGES, tools=[WEATHER])
    assert engine.last_body()["tools"] == [WEATHER]
    assert answer.done_reason == "stop"
    for calls in (answer.message.tool_calls, _streamed_calls(sdk)):
        assert calls is not None
        assert [(call.function.name, call.function.arguments) for call in calls] == [("get_weather", {"city": "Tokyo"})]


def _streamed_calls(sdk: Client) -> Any:
    *parts, last = sdk.chat("tiny", MESSAGES, tools=[WEATHER], stream=True, options={"num_predict": 6})
    assert last.done and last.done_reason == "stop" and not last.message.tool_calls
    assert len(parts) == 1
    return parts[0].message.tool_calls


def test_p60_a_tools_answer_finds_its_call(sdk: Client, engine: Engine) -> None:
    called = [{"function": {"name": name, "arguments": {"city": "Oslo"}}} for name in ("get_weather", "get_time")]
    history: list[dict[str, Any]] = [
        *MESSAGES,
        {"role": "assistant", "content": "", "tool_calls": called},
        {"role": "tool", "content": "noon", "tool_name": "get_time"},
        {"role": "tool", "content": "rain", "tool_name": "get_weather"},
    ]
    sdk.chat("tiny", history)
    _, assistant, time, weather = engine.last_body()["messages"]
    ids = {call["function"]["name"]: call["id"] for call in assistant["tool_calls"]}
    assert assistant["tool_calls"][0]["function"]["arguments"] == '{"city":"Oslo"}'
    assert (time["tool_call_id"], weather["tool_call_id"]) == (ids["get_time"], ids["get_weather"])


def test_p60_thinking(sdk: Client, engine: Engine) -> None:
    engine.turn(answer="reasoning")
    whole = sdk.chat("tiny", MESSAGES, think=True, options={"num_predict": 4})
    assert (whole.message.thinking, whole.message.content) == ("xxxx " * 2, "xxxx " * 2)
    assert engine.last_body()["chat_template_kwargs"] == {"enable_thinking": True, "thinking": True}
    parts = list(sdk.generate("tiny", "hello", think="low", stream=True, options={"num_predict": 4}))
    assert engine.last_body()["reasoning_effort"] == "low"
    assert "".join(part.thinking or "" for part in parts) == "xxxx " * 2
    assert "".join(part.response or "" for part in parts) == "xxxx " * 2
    sdk.chat("tiny", MESSAGES, think=False)
    assert engine.last_body()["chat_template_kwargs"] == {"enable_thinking": False, "thinking": False}


def test_p60_images(sdk: Client, engine: Engine) -> None:
    png = b"\x89PNG\r\n\x1a\n" + b"\0" * 20
    sdk.chat("tiny", [{"role": "user", "content": "what is this?", "images": [png]}])
    text, image = engine.last_body()["messages"][0]["content"]
    assert text == {"type": "text", "text": "what is this?"}
    assert image["image_url"]["url"].startswith("data:image/png;base64,iVBORw0KGgo")
    sdk.generate("tiny", "", images=[b"\xff\xd8\xff" + b"\0" * 20])
    (image,) = engine.last_body()["messages"][0]["content"]
    assert image["image_url"]["url"].startswith("data:image/jpeg;base64,/9j/")


def test_p60_a_raw_prompt_goes_round_the_template(sdk: Client, engine: Engine) -> None:
    raw = sdk.generate("tiny", "[INST] why? [/INST]", raw=True, options={"num_predict": 3})
    assert raw.response == "xxxx " * 3
    assert engine.last_body()["prompt"] == "[INST] why? [/INST]"
    parts = list(sdk.generate("tiny", "[INST] why? [/INST]", raw=True, stream=True, options={"num_predict": 2}))
    assert [part.response for part in parts] == ["xxxx ", "xxxx ", ""]


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


def test_p63_errors_have_ollamas_shape(gateway: Gateway, client: httpx.Client) -> None:
    with Client(gateway.url) as stranger, pytest.raises(ResponseError) as caught:
        stranger.chat("tiny", MESSAGES)
    assert caught.value.status_code == 401 and "API key" in caught.value.error
    refusals = [
        client.post("/api/chat", content=b"{"),
        client.get("/api/chat"),
        client.post("/api/pull", json={"model": "tiny"}),
        client.delete("/api/delete"),
        client.post("/api/chat", json={"model": "tiny", "messages": [{"role": "user", "content": "x" * 20_000}]}),
        client.post("/api/show", json={}),
    ]
    assert [refused.status_code for refused in refusals] == [400, 405, 404, 404, 400, 400]
    for refused in refusals:
        assert list(refused.json()) == ["error"] and isinstance(refused.json()["error"], str)
    with Raw(gateway.port) as raw:
        raw.send(post_bytes(b"{", "Content-Length: 99999999", path="/api/chat"))
        assert b'\r\n\r\n{"error":"the body is over' in raw.read_to_close()


@pytest.mark.parametrize(
    ("path", "body", "names"),
    [
        ("/api/generate", {"prompt": "x", "suffix": "y"}, "suffix"),
        ("/api/generate", {"prompt": "x", "template": "{{ .Prompt }}"}, "template"),
        ("/api/generate", {"prompt": "x", "context": [1, 2]}, "context"),
        ("/api/generate", {"prompt": "x", "raw": True, "system": "y"}, "system"),
        ("/api/generate", {"prompt": 3}, "prompt"),
        ("/api/generate", {"prompt": "x", "images": [3]}, "images"),
        ("/api/chat", {"messages": "x"}, "messages"),
        ("/api/chat", {"messages": ["x"]}, "messages[0]"),
        ("/api/chat", {"messages": MESSAGES, "stream": "no"}, "stream"),
        ("/api/chat", {"messages": MESSAGES, "options": []}, "options"),
        ("/api/chat", {"messages": MESSAGES, "options": {"num_predict": "7"}}, "num_predict"),
        ("/api/chat", {"messages": MESSAGES, "options": {"temperature": "hot"}}, "temperature"),
        ("/api/chat", {"messages": MESSAGES, "options": {"stop": [3]}}, "stop"),
        ("/api/chat", {"messages": MESSAGES, "think": "deeply"}, "think"),
        ("/api/chat", {"messages": MESSAGES, "format": "yaml"}, "format"),
        ("/api/chat", {"messages": [{"role": "assistant", "tool_calls": [{}]}]}, "tool call"),
        ("/api/embed", {"input": {}}, "input"),
        ("/api/embed", {"input": [1]}, "input"),
        ("/api/embed", {"input": ["x"] * 2049}, "2048"),
        ("/api/embeddings", {"prompt": ["x"]}, "invalid input"),
        ("/api/chat", {"messages": MESSAGES, "model": ""}, "model"),
    ],
)
def test_p63_what_cannot_be_meant_is_400_and_named(
    client: httpx.Client, path: str, body: dict[str, Any], names: str
) -> None:
    refused = client.post(path, json={"model": "tiny", **body})
    assert refused.status_code == 400
    assert names in refused.json()["error"]


@pytest.mark.parametrize("fault", ["mid-stream", "no-done", "error-event"])
def test_p63_a_stream_that_breaks_ends_with_an_error_line(
    client: httpx.Client, sdk: Client, engine: Engine, fault: str
) -> None:
    engine.turn(fault=fault)
    body = {"model": "tiny", "messages": MESSAGES, "options": {"num_predict": 8}}
    *parts, last = lines_of(client.post("/api/chat", json=body))
    assert parts and not any(part["done"] for part in parts if fault != "no-done")
    assert list(last) == ["error"]
    with pytest.raises(ResponseError, match="engine|EngineCore"):
        list(sdk.chat("tiny", MESSAGES, stream=True, options={"num_predict": 8}))


def test_p63_a_whole_answer_that_breaks_is_502(sdk: Client, engine: Engine) -> None:
    engine.turn(fault="mid-stream")
    with pytest.raises(ResponseError) as caught:
        sdk.chat("tiny", MESSAGES)
    assert caught.value.status_code == 502


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"{}"),
        ("application/json", b"<html>"),
        ("application/json", b'{"choices":[]}'),
        ("application/json", b'{"choices":{}}'),
        ("text/event-stream", b"data: [1]\n\ndata: [DONE]\n\n"),
        ("text/event-stream", b"data: {\n\n"),
    ],
)
def test_p63_an_engine_that_answers_something_else_is_502(
    start_gateway: Callable[..., Gateway], kind: str, body: bytes
) -> None:
    class Strange(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer("application/json", b'{"data":[{"id":"tiny"}]}')

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self._answer(kind, body)

        def _answer(self, kind: str, body: bytes) -> None:
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Strange) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        gateway = start_gateway([f"http://127.0.0.1:{server.server_address[1]}"])
        gateway.wait_up()
        with gateway.client() as http:
            for path, more in (("/api/chat", {"messages": MESSAGES}), ("/api/embed", {"input": "x"})):
                broken = http.post(path, json={"model": "tiny", **more})
                assert broken.status_code == 502
                assert "engine" in broken.json()["error"]
        assert gateway.metric("gateway_requests_in_flight") == 0
        server.shutdown()
