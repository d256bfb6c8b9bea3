"""Tools and thinking of a model that has none, in each API; and of one that has. Without a socket."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.config.rules import Rules
from gateway.config.setting_types import RequestLimits
from gateway.config.settings import EngineSettings
from gateway.core.call import Principal
from gateway.core.errors import BadRequest
from gateway.dialects.anthropic import Anthropic, CountTokens
from gateway.dialects.base import Dialect
from gateway.dialects.ollama import OllamaChat
from gateway.dialects.openai import OpenAI, Responses, Tokenizer
from gateway.http.messages import Request
from tests.gateway.bodies.test_abilities import ABLE, PLAIN, engine

MESSAGES = [{"role": "user", "content": "x"}]
FUNCTION = {"name": "f", "parameters": {"type": "object"}}
OPENAI = {"messages": MESSAGES, "tools": [{"type": "function", "function": FUNCTION}]}
ANTHROPIC = {"max_tokens": 9, "messages": MESSAGES, "tools": [{"name": "f", "input_schema": {"type": "object"}}]}
RESPONSE = {"input": "x", "tools": [{"type": "function", **FUNCTION}]}
APIS: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "chat": (OpenAI, "/v1/chat/completions", OPENAI),
    "responses": (Responses, "/v1/responses", RESPONSE),
    "messages": (Anthropic, "/v1/messages", ANTHROPIC),
    "count": (CountTokens, "/v1/messages/count_tokens", ANTHROPIC),
    "ollama": (OllamaChat, "/api/chat", OPENAI),
}


def sent(api: str, of: EngineSettings, **more: Any) -> dict[str, Any]:
    """What the engine gets."""
    kind, path, body = APIS[api]
    request = Request("id", 0.0)
    request.target = path.encode()
    request.body = orjson.dumps({"model": "m"} | body | more)
    found: dict[str, Any] = orjson.loads(kind(lambda: {"m": of}).read(request).body)
    return found


@pytest.mark.parametrize("api", APIS)
def test_p180_no_engine_is_asked_for_what_the_model_cannot_do(api: str) -> None:
    dialect: Dialect = APIS[api][0](lambda: {"m": PLAIN})
    with pytest.raises(BadRequest, match="'tools'") as refused:
        sent(api, PLAIN)
    told = orjson.loads(dialect.error(refused.value))
    text = told["error"] if isinstance(told["error"], str) else told["error"]["message"]
    assert "does not support tools" in text and "profile" in text


@pytest.mark.parametrize("api", APIS)
def test_one_with_a_parser_gets_them_as_they_came(api: str) -> None:
    for of in (ABLE, engine()):
        assert sent(api, of)["tools"] == APIS[api][2]["tools"]


@pytest.mark.parametrize("api", APIS)
def test_p180_they_may_be_left_out(api: str) -> None:
    found = sent(api, engine(capabilities=("completion",), ignore_tools=True))
    assert not found["tools"]
    assert found["tool_choice"] in (None, "auto")


@pytest.mark.parametrize("api", APIS)
def test_p181_an_empty_list_reaches_no_engine_that_would_refuse_it(api: str) -> None:
    found = sent(api, ABLE, tools=[])
    assert found.get("tools") == ([] if api == "responses" else None)


def test_left_out_tools_are_not_compiled_either() -> None:
    kind, path, _ = APIS["chat"]
    strict = [{"type": "function", "function": FUNCTION | {"strict": True}}]
    request = Request("id", 0.0)
    request.target = path.encode()
    request.body = orjson.dumps({"model": "m", "messages": MESSAGES, "tools": strict})
    of = engine(capabilities=("completion",), ignore_tools=True)
    assert not kind(lambda: {"m": of}).read(request).structured


def test_where_an_api_has_no_tools_the_word_means_nothing() -> None:
    request = Request("id", 0.0)
    request.target, request.body = b"/tokenize", orjson.dumps({"model": "m"} | OPENAI)
    Tokenizer(lambda: {"m": PLAIN}).read(request)
    request.target, request.body = b"/v1/completions", b'{"model":"m","prompt":"x","tools":[{}]}'
    OpenAI(lambda: {"m": PLAIN}).read(request)


def test_p182_anthropics_budget_is_left_out_where_nothing_thinks() -> None:
    budget = {"type": "enabled", "budget_tokens": 2048}
    assert sent("messages", engine(capabilities=("completion", "tools")), thinking=budget)["thinking"] is None
    assert sent("messages", ABLE, thinking=budget)["thinking"] == budget


@pytest.mark.parametrize(
    ("most", "length", "left"),
    [(None, 8192, {"type": "enabled", "budget_tokens": 8191}), (2000, 2000, {"type": "enabled", "budget_tokens": 1999}),
     (1024, 1024, None)],
)  # fmt: skip
def test_p126_a_budget_goes_down_with_the_answer(most: int | None, length: int, left: Any) -> None:
    """Claude Code's own numbers. vLLM refuses a budget that is not below the answer's length, and one below 1,024."""
    request = Request("id", 0.0)
    request.target = b"/v1/messages"
    request.principal = Principal("ada", max_output_tokens=most)
    thinking = {"type": "enabled", "budget_tokens": 31_999}
    body = {"model": "m", "max_tokens": 32_000, "messages": MESSAGES, "thinking": thinking}
    request.body = orjson.dumps(body)
    clamping = Rules(RequestLimits(clamp_max_tokens=True))
    found = orjson.loads(Anthropic(lambda: {"m": ABLE}, lambda: clamping).read(request).body)
    assert (found["max_tokens"], found["thinking"]) == (length, left)
    # What fits is left as it came, and so is what the client itself has wrong.
    for right in ({"max_tokens": 3000, "thinking": thinking | {"budget_tokens": 1500}}, {"max_tokens": 1000}):
        request.body, request.principal = orjson.dumps(body | right), Principal("ada")
        assert Anthropic(lambda: {"m": ABLE}, lambda: clamping).read(request).body == request.body


@pytest.mark.parametrize("wish", [True, "high"])
def test_p182_ollamas_think_is_refused_as_ollama_does(wish: Any) -> None:
    only_tools = engine(capabilities=("completion", "tools"))
    with pytest.raises(BadRequest, match="'m' does not support thinking"):
        sent("ollama", only_tools, think=wish)
    assert sent("ollama", ABLE, think=wish)["chat_template_kwargs"]["enable_thinking"] is True
    assert sent("ollama", only_tools, think=False)["chat_template_kwargs"]["enable_thinking"] is False
