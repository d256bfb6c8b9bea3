"""Tools as they should not be, in each API: a 4xx of its shape or an answer, and an engine that goes on."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.real.served import NAME, Real

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

ASKED = [{"role": "user", "content": "What is the weather in Oslo?"}]
GOOD: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}}
# What stands where a tool should, and what a tool's schema should not be.
NO_TOOLS: dict[str, Any] = {
    "a text": "get_weather",
    "a number": [7],
    "a tool without a function": [{"type": "function"}],
    "a function without a name": [{"type": "function", "function": {"parameters": GOOD}}],
    "a schema that is a text": [{"type": "function", "function": {"name": "f", "parameters": "city"}}],
}
UNKNOWN_TYPE = {"type": "object", "properties": {"city": {"type": "place"}}, "required": ["city"]}
BROKEN_CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"city": "Os'}}


def _told(real: Real, path: str, body: dict[str, Any]) -> tuple[int, Any]:
    """The status and what the body says of the error; None where there is none."""
    with real.gateway.client(120) as client:
        answer = client.post(path, json={"model": NAME, "max_tokens": 5} | body)
    return answer.status_code, answer.json().get("error")


@pytest.mark.parametrize("tools", NO_TOOLS.values(), ids=NO_TOOLS)
def test_what_is_no_tool_is_told_to_who_sent_it(real: Real, tools: Any) -> None:
    status, error = _told(real, "/v1/chat/completions", {"messages": ASKED, "tools": tools})
    assert status in (400, 422) and error["message"] and "Traceback" not in error["message"]
    status, error = _told(real, "/v1/messages", {"messages": ASKED, "tools": [{"name": 7}]})
    assert status in (400, 422) and error["type"] == "invalid_request_error"
    status, error = _told(real, "/api/chat", {"messages": ASKED, "tools": tools})
    assert status in (400, 422) and isinstance(error, str) and error


def test_a_schema_that_cannot_be_kept_is_no_answer_of_nonsense(real: Real) -> None:
    """Required, it has to be compiled; what does not compile is the client's fault."""
    tools = [{"type": "function", "function": {"name": "f", "parameters": UNKNOWN_TYPE, "strict": True}}]
    asked = {"messages": ASKED, "tools": tools, "tool_choice": "required"}
    status, error = _told(real, "/v1/chat/completions", asked)
    assert status == 400 and error["message"]


def test_an_empty_list_of_tools_is_none(real: Real) -> None:
    """Open WebUI sends it; vLLM alone refuses it."""
    for path in ("/v1/chat/completions", "/v1/messages", "/api/chat"):
        status, error = _told(real, path, {"messages": ASKED, "tools": [], "stream": False})
        assert (status, error) == (200, None), path


def test_arguments_that_are_no_json_do_not_end_a_conversation(real: Real) -> None:
    turns = [{"role": "assistant", "content": None, "tool_calls": [BROKEN_CALL]}]
    answered = [*ASKED, *turns, {"role": "tool", "tool_call_id": "call_1", "content": "rain"}]
    status, _ = _told(real, "/v1/chat/completions", {"messages": answered})
    assert status == 200
    # Ollama's calls have objects: a text there is no call of any.
    call = {"function": {"name": "f", "arguments": '{"city": "Os'}}
    status, error = _told(real, "/api/chat", {"messages": [{"role": "assistant", "tool_calls": [call]}]})
    assert (status, error) == (400, "'arguments' must be an object")
    use = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": "text"}
    status, error = _told(real, "/v1/messages", {"messages": [*ASKED, {"role": "assistant", "content": [use]}]})
    assert status in (200, 400)


def test_the_answer_of_a_call_that_was_never_made(real: Real) -> None:
    result = {"role": "tool", "tool_call_id": "call_9", "content": "rain"}
    assert _told(real, "/v1/chat/completions", {"messages": [*ASKED, result]})[0] in (200, 400)
    block = {"type": "tool_result", "tool_use_id": "toolu_9", "content": "rain"}
    assert _told(real, "/v1/messages", {"messages": [{"role": "user", "content": [block]}]})[0] in (200, 400)
    status, _ = _told(real, "/api/chat", {"messages": [*ASKED, {"role": "tool", "content": "rain"}], "stream": False})
    assert status in (200, 400)


def test_the_engine_goes_on(real: Real) -> None:
    assert _told(real, "/v1/chat/completions", {"messages": ASKED}) == (200, None)
