"""Ollama's requests in OpenAI's words, beyond what its client sends."""

from __future__ import annotations

import pytest

from gateway.core.errors import BadRequest
from gateway.dialects import ollama_request as ask


def test_nothing_asked_is_nothing_sent() -> None:
    assert ask.sampling({}, 4096) == {}
    assert ask.sampling({"options": {"temperature": None, "stop": []}}, 4096) == {}
    assert ask.wishes({"format": "", "think": None}) == {}


def test_one_stop_string_is_a_list_of_one() -> None:
    assert ask.sampling({"options": {"stop": "x"}}, None) == {"stop": ["x"]}


def test_a_thought_and_a_data_url_stay_what_they_are() -> None:
    url = "data:image/webp;base64,UklGRg"
    (message,) = ask.messages({"messages": [{"role": "USER", "content": "a", "thinking": "t", "images": [url]}]})
    assert (message["role"], message["reasoning"]) == ("user", "t")
    assert message["content"][1]["image_url"]["url"] == url


def test_a_tools_answer_without_a_call_still_has_an_id() -> None:
    (message,) = ask.messages({"messages": [{"role": "tool", "content": "11"}]})
    assert message["tool_call_id"]


def test_what_is_not_served_says_why() -> None:
    with pytest.raises(BadRequest, match="'suffix' is not served: because") as caught:
        ask.refuse({"suffix": "x"}, {"suffix": "because"})
    assert caught.value.param == "suffix"
    ask.refuse({"suffix": ""}, {"suffix": "because"})
