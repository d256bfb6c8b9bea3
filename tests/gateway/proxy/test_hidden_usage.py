"""The usage event that nobody but the gateway asked for, and the fingerprint that it carries."""

from __future__ import annotations

import json

import httpx
import pytest

from gateway.proxy.hidden_usage import HiddenUsage
from tests.fakes.engine.shapes import FINGERPRINT
from tests.gateway.harness import chat

WORD = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n'
LAST = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"b"},"finish_reason":"stop"}]}\n\n'
MARK = b',"system_fingerprint":"vllm-0.32.0-ab\\"c"'
USAGE = b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}%b}\n\n'
MARKED = LAST.replace(b"]}\n", b"]" + MARK + b"}\n")
DONE = b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    ("pieces", "out"),
    [
        ([WORD, LAST, USAGE % MARK, DONE], [WORD, b"", MARKED, DONE]),
        ([WORD + LAST, USAGE % MARK + DONE], [WORD, MARKED + DONE]),
        ([WORD + LAST + USAGE % MARK + DONE], [WORD + MARKED + DONE]),
        ([LAST, WORD, LAST, USAGE % MARK], [b"", LAST + WORD, b"", MARKED]),
        ([LAST, USAGE % b"", DONE], [b"", LAST, DONE]),
        ([LAST, USAGE % b',"system_fingerprint":null', DONE], [b"", LAST, DONE]),
        ([LAST, DONE], [b"", LAST + DONE]),
        ([LAST.replace(b"]}\n", b'],"system_fingerprint":null}\n'), USAGE % MARK], [b"", MARKED]),
        ([WORD, WORD, DONE], [WORD, WORD, DONE]),
        ([LAST[:-1], b"\n", DONE], [LAST[:-1], b"\n", DONE]),
    ],
)
def test_p129_the_fingerprint_goes_where_it_would_have_been(pieces: list[bytes], out: list[bytes]) -> None:
    hidden = HiddenUsage()
    assert [hidden.take(piece) for piece in pieces] == out
    assert hidden.rest == b""


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
@pytest.mark.parametrize("options", [None, {"include_usage": True}, {"include_usage": False}])
def test_p129_system_fingerprint_reaches_the_client(
    client: httpx.Client, path: str, options: dict[str, bool] | None
) -> None:
    body = chat(max_tokens=3) | ({"prompt": "x"} if path.endswith("v1/completions") else {})
    assert client.post(path, json=body).json()["system_fingerprint"] == FINGERPRINT
    streamed = client.post(path, json=body | {"stream": True, "stream_options": options}).text
    events = [json.loads(line[6:]) for line in streamed.splitlines() if line.startswith("data: {")]
    assert [event.get("system_fingerprint") for event in events][-1] == FINGERPRINT
    assert any("usage" in event and event["usage"] for event in events) == bool(options and options["include_usage"])
    assert [choice["finish_reason"] for event in events for choice in event["choices"]][-1] == "length"
    assert streamed.endswith("data: [DONE]\n\n")
