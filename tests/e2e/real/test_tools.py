"""Functions that the model has to call, whole and as a stream: what comes fits the schema, and is the same in both."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic.types import ToolUseBlock
from jsonschema import validate

from tests.e2e.real.served import NAME, Real, ask

pytestmark = [pytest.mark.engine]

PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "enum": ["Paris", "Oslo", "São Paulo", "東京"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 7},
    },
    "required": ["city", "days"],
    "additionalProperties": False,
}
CLOCK: dict[str, Any] = {
    "type": "object",
    "properties": {"zone": {"type": "string", "enum": ["UTC", "CET"]}},
    "required": ["zone"],
    "additionalProperties": False,
}
SCHEMAS = {"get_weather": PARAMETERS, "get_time": CLOCK}
# Without `strict` vLLM 0.32 makes a model with a parser write some JSON, whatever the schema says.
TOOLS: Any = [
    {"type": "function", "function": {"name": name, "description": "of a place", "parameters": schema, "strict": True}}
    for name, schema in SCHEMAS.items()
]
NAMED = {"type": "function", "function": {"name": "get_time"}}
QUESTION = "What will the weather be in Oslo in three days?"


@pytest.mark.parametrize("choice", ["required", NAMED], ids=["required", "named"])
def test_openais_client(real: Real, choice: Any) -> None:
    asked = ask(QUESTION, tools=TOOLS, tool_choice=choice, max_tokens=200)
    with real.openai() as sdk:
        whole = sdk.chat.completions.create(**asked)
        chunks = list(sdk.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    calls = [(call.function.name, call.function.arguments) for call in whole.choices[0].message.tool_calls or []]
    assert calls and all(name in SCHEMAS for name, _ in calls)
    for name, arguments in calls:
        validate(json.loads(arguments), SCHEMAS[name])
    if choice is NAMED:
        assert [name for name, _ in calls] == ["get_time"]
    pieces: dict[int, list[str]] = {}
    for chunk in chunks:
        for call in chunk.choices[0].delta.tool_calls or [] if chunk.choices else []:
            name_and_arguments = pieces.setdefault(call.index, ["", ""])
            if call.function:
                name_and_arguments[0] += call.function.name or ""
                name_and_arguments[1] += call.function.arguments or ""
    same = [(name, json.loads(arguments)) for name, arguments in pieces.values()]
    assert same == [(name, json.loads(arguments)) for name, arguments in calls]
    assert len(chunks) > 5, "in pieces"
    assert chunks[-1].usage and whole.usage
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "get_time"}], ids=["any", "named"])
def test_anthropics_client(real: Real, choice: Any) -> None:
    tools: Any = [
        {"name": name, "description": "of a place", "input_schema": schema, "strict": True}
        for name, schema in SCHEMAS.items()
    ]
    asked: dict[str, Any] = {
        "model": NAME, "max_tokens": 200, "extra_body": {"temperature": 0}, "tools": tools, "tool_choice": choice,
        "messages": [{"role": "user", "content": QUESTION}],
    }  # fmt: skip
    with real.anthropic() as sdk:
        whole = sdk.messages.create(**asked)
        with sdk.messages.stream(**asked) as stream:
            last = stream.get_final_message()
    calls = [block for block in whole.content if isinstance(block, ToolUseBlock)]
    assert calls and whole.stop_reason == last.stop_reason == "tool_use"
    for call in calls:
        validate(call.input, SCHEMAS[call.name])
    streamed = [(block.name, block.input) for block in last.content if isinstance(block, ToolUseBlock)]
    assert streamed == [(call.name, call.input) for call in calls]
    assert last.usage.output_tokens == whole.usage.output_tokens


def test_ollamas_client_may_offer_tools(real: Real) -> None:
    """Its API has no word for a tool that must be called, and a model of this size calls none by itself."""
    with real.ollama() as sdk:
        messages = [{"role": "user", "content": QUESTION}]
        whole = sdk.chat(NAME, messages, tools=TOOLS, options={"temperature": 0, "num_predict": 20})
        parts = list(sdk.chat(NAME, messages, tools=TOOLS, stream=True, options={"temperature": 0, "num_predict": 20}))
    assert whole.message.content
    assert "".join(part.message.content or "" for part in parts) == whole.message.content
    assert parts[-1].eval_count == whole.eval_count


def test_the_answer_of_a_function_goes_back_to_the_model(real: Real) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "get_time", "arguments": '{"zone": "UTC"}'}}
    more = [
        {"role": "assistant", "content": "I look.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "It is noon."},
    ]
    asked = ask(QUESTION, tools=TOOLS, tool_choice="none")
    asked["messages"] += more
    with real.openai() as sdk:
        answer = sdk.chat.completions.create(**asked)
    assert answer.choices[0].message.content and not answer.choices[0].message.tool_calls
