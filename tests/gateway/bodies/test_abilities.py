"""What is refused, and what is left out, of requests for what a model cannot do."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.bodies import abilities
from gateway.config.settings import EngineSettings
from gateway.core.errors import BadRequest

TOOL = {"type": "function", "function": {"name": "f"}}


def engine(**settings: Any) -> EngineSettings:
    return EngineSettings(
        name="e", url="http://e:1", models=("m",), max_num_seqs=1, max_num_batched_tokens=1, max_model_len=8192,
        kv_cache_tokens=1, **settings,
    )  # fmt: skip


PLAIN = engine(capabilities=("completion",))
ABLE = engine(capabilities=("completion", "tools", "thinking"))


def _tools(content: dict[str, Any], of: EngineSettings | None = PLAIN) -> dict[str, Any]:
    return abilities.tools(content, of, abilities.NO_TOOLS)


def test_p180_tools_of_a_model_without_a_parser_are_refused_by_the_profiles_word() -> None:
    with pytest.raises(BadRequest) as refused:
        _tools({"tools": [TOOL]})
    assert refused.value.param == "tools"
    # Ollama's clients look for these words.
    assert "does not support tools" in refused.value.message
    assert "'tools'" in refused.value.message and "profile" in refused.value.message
    assert "--" not in refused.value.message and len(refused.value.message.splitlines()) == 1


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"tools": None},
        {"tools": [TOOL], "tool_choice": "none"},
        {"tools": [TOOL], "tool_choice": {"type": "none"}},
        {"tools": "nonsense"},
        {"tools": {"a": 1}},
    ],
)
def test_p180_what_asks_for_none_passes_as_it_is(content: dict[str, Any]) -> None:
    assert _tools(content) == {}


@pytest.mark.parametrize(
    "choice", ["auto", "required", {"type": "function", "function": {"name": "f"}}, {"type": "any"}]
)
def test_every_other_choice_is_a_request_for_tools(choice: Any) -> None:
    with pytest.raises(BadRequest):
        _tools({"tools": [TOOL], "tool_choice": choice})


def test_where_they_are_possible_or_nothing_is_known_they_pass() -> None:
    for of in (ABLE, engine(), None):
        assert _tools({"tools": [TOOL]}, of) == {}


def test_p181_an_empty_list_is_left_out_everywhere() -> None:
    """Open WebUI sends one, and vLLM refuses it (open-webui/open-webui#26655)."""
    for of in (PLAIN, ABLE, engine(), None):
        assert _tools({"tools": [], "tool_choice": "auto"}, of) == {"tools": None, "tool_choice": None}


def test_p180_a_profile_may_have_them_left_out() -> None:
    of = engine(capabilities=("completion",), ignore_tools=True)
    assert _tools({"tools": [TOOL]}, of) == {"tools": None, "tool_choice": None}
    assert abilities.tools({"tools": [TOOL]}, of, abilities.NO_RESPONSE_TOOLS) == {"tools": [], "tool_choice": "auto"}


def test_p182_a_budget_for_thinking_is_left_out_where_nothing_thinks() -> None:
    budget = {"thinking": {"type": "enabled", "budget_tokens": 2048}}
    assert abilities.thinking(budget, PLAIN) == {"thinking": None}
    for of in (ABLE, engine(), None):
        assert abilities.thinking(budget, of) == {}
    for other in ({"type": "disabled"}, {"type": "adaptive"}, "nonsense", None):
        assert abilities.thinking({"thinking": other}, PLAIN) == {}


@pytest.mark.parametrize(
    "content",
    [
        {"max_tokens": 9000},
        {"max_tokens": 9000, "thinking": "much"},
        {"max_tokens": 9000, "thinking": {"type": "adaptive"}},
        {"max_tokens": 9000, "thinking": {"type": "enabled", "budget_tokens": "8000"}},
        {"max_tokens": "9000", "thinking": {"type": "enabled", "budget_tokens": 8000}},
        {"max_tokens": 8000, "thinking": {"type": "enabled", "budget_tokens": 8000}},
        {"max_tokens": 9000, "thinking": {"type": "enabled", "budget_tokens": 3999}},
    ],
)
def test_a_budget_is_lowered_only_where_the_answer_was(content: dict[str, Any]) -> None:
    assert abilities.budget(content, 4000) == {}
