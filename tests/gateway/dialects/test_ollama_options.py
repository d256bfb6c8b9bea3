"""What a request in Ollama's words may ask for: options, formats, tools, thinking, images."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from ollama import Client

from tests.gateway import picture_files
from tests.gateway.dialects.ollama_bodies import MESSAGES, WEATHER
from tests.gateway.harness import Engine


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
    png = picture_files.png(9, 8)
    sdk.chat("tiny", [{"role": "user", "content": "what is this?", "images": [png]}])
    text, image = engine.last_body()["messages"][0]["content"]
    assert text == {"type": "text", "text": "what is this?"}
    assert image["image_url"]["url"].startswith("data:image/png;base64,iVBORw0KGgo")
    sdk.generate("tiny", "", images=[picture_files.jpeg(9, 8)])
    (image,) = engine.last_body()["messages"][0]["content"]
    assert image["image_url"]["url"].startswith("data:image/jpeg;base64,/9j/")


def test_p60_a_raw_prompt_goes_round_the_template(sdk: Client, engine: Engine) -> None:
    raw = sdk.generate("tiny", "[INST] why? [/INST]", raw=True, options={"num_predict": 3})
    assert raw.response == "xxxx " * 3
    assert engine.last_body()["prompt"] == "[INST] why? [/INST]"
    parts = list(sdk.generate("tiny", "[INST] why? [/INST]", raw=True, stream=True, options={"num_predict": 2}))
    assert [part.response for part in parts] == ["xxxx ", "xxxx ", ""]
