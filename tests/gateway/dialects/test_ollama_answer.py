"""The engine's answers in Ollama's words, where the clients cannot bring an engine to give them."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest

from gateway.dialects.ollama_answer import Answer, Embeddings, chat_shape, generate_shape, timestamp


def event(**choice: Any) -> bytes:
    return b"data: " + orjson.dumps({"choices": [{"index": 0, **choice}]}) + b"\n\n"


def lines(data: bytes) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in data.splitlines()]


def test_an_aborted_answer_is_an_error() -> None:
    answer = Answer("m", chat_shape)
    assert lines(answer.stream(event(delta={"content": "a"}, finish_reason="abort") + b"data: [DONE]\n\n")) == [
        {"error": "the engine broke off the answer"}
    ]
    whole = orjson.dumps({"choices": [{"message": {"content": "a"}, "finish_reason": "abort"}]})
    assert orjson.loads(answer.whole(whole)) == {"error": "the engine broke off the answer"}


def test_nothing_follows_an_error() -> None:
    answer = Answer("m", chat_shape)
    broken = b'data: {"error":{"message":"gone","code":500}}\n\ndata: [DONE]\n\n'
    assert lines(answer.stream(broken) + answer.stream(event(delta={"content": "a"}))) == [{"error": "gone"}]


def test_a_call_that_the_answer_broke_off_is_not_made() -> None:
    answer = Answer("m", chat_shape)
    piece = {"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"city": "To'}}
    *_, last = lines(answer.stream(event(delta={"tool_calls": [piece]}, finish_reason="length") + b"data: [DONE]\n\n"))
    assert "tool_calls" not in last["message"] and last["done_reason"] == "length"


def test_several_calls_come_together() -> None:
    answer = Answer("m", chat_shape)
    first = {"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}
    second = {"index": 1, "id": "b", "function": {"name": "g", "arguments": '{"x":1}'}}
    got = lines(answer.stream(event(delta={"tool_calls": [first]}) + event(delta={"tool_calls": [second]})))
    got += lines(answer.stream(b"data: [DONE]\n\n"))
    assert [call["function"] for call in got[0]["message"]["tool_calls"]] == [
        {"name": "f", "arguments": {}},
        {"name": "g", "arguments": {"x": 1}},
    ]
    assert [line["done"] for line in got] == [False, True]


def test_events_that_came_in_one_read_are_one_write() -> None:
    answer = Answer("m", generate_shape)
    got = lines(answer.stream(event(text="a") + event(text="b") + event(text="", finish_reason="stop")))
    assert [line["response"] for line in got] == ["a", "b"]


def test_log_probabilities_pass() -> None:
    tokens = [{"token": "a", "logprob": -1.5, "bytes": [97], "top_logprobs": []}]
    (line,) = lines(Answer("m", chat_shape).stream(event(delta={"content": "a"}, logprobs={"content": tokens})))
    assert line["logprobs"] == tokens


def test_vectors_are_cut_out_as_they_are() -> None:
    data = [{"index": i, "object": "embedding", "embedding": [0.1, -2e-7, i]} for i in range(3)]
    body = orjson.dumps({"model": 'a "embedding":[9]', "data": data, "usage": {"prompt_tokens": 7}})
    got = orjson.loads(Embeddings("m", 3, several=True).whole(body))
    assert got["embeddings"] == [[0.1, -2e-7, i] for i in range(3)]
    assert (got["model"], got["prompt_eval_count"]) == ("m", 7)
    one = orjson.dumps({"data": data[:1]})
    assert orjson.loads(Embeddings("m", 1, several=False).whole(one)) == {"embedding": [0.1, -2e-7, 0]}
    with pytest.raises(ValueError, match="3 vectors for 2 texts"):
        Embeddings("m", 2, several=True).whole(body)


def test_the_time_is_rfc_3339() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", timestamp())
