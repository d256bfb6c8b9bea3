"""Errors in Ollama's shape."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from ollama import Client, ResponseError

from tests.gateway.dialects.ollama_bodies import MESSAGES, lines_of
from tests.gateway.harness import Engine, Gateway, Raw, post_bytes


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
