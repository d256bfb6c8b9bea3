"""What a request wants of a model that cannot do it: tools, thinking. Decided before any engine is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.config.settings import EngineSettings
from gateway.core.errors import BadRequest

# What a request without tools says, in each API; of two members with one name the last counts.
NO_TOOLS: dict[str, Any] = {"tools": None, "tool_choice": None}
# The Responses API takes no null there.
NO_RESPONSE_TOOLS: dict[str, Any] = {"tools": [], "tool_choice": "auto"}
_NOTHING: dict[str, Any] = {}
# vLLM 0.32 takes no smaller one of Anthropic's API.
_LEAST_BUDGET = 1024


def tools(content: Mapping[str, Any], engine: EngineSettings | None, without: dict[str, Any]) -> dict[str, Any]:
    """What has to be said beside `content` so that it asks for no tools: ``without``, or nothing where it may.

    An empty list is none: some clients send it with every message, and vLLM refuses it.

    Raises:
        BadRequest: no parser reads this model's calls, and tools are not to be left out.
    """
    asked = content.get("tools")
    if asked == []:
        return without
    if not isinstance(asked, list) or engine is None or engine.can("tools"):
        return _NOTHING  # what is no list, the engine has its own words for
    if _chosen(content.get("tool_choice")) == "none":
        return _NOTHING
    if engine.ignore_tools:
        return without
    raise BadRequest(
        "this model does not support tools here: its profile has no parser of its calls; set 'tools' there to a "
        "parser's name, or to 'ignore' to have tools left out of requests",
        param="tools",
    )


def thinking(content: Mapping[str, Any], engine: EngineSettings | None) -> dict[str, Any]:
    """Anthropic's `thinking` with a budget is a ceiling: a model that does not think is below any."""
    asked = content.get("thinking")
    if engine is None or not isinstance(asked, dict) or asked.get("type") != "enabled" or engine.can("thinking"):
        return _NOTHING
    return {"thinking": None}


def budget(content: Mapping[str, Any], length: int) -> dict[str, Any]:
    """Anthropic's `thinking` for an answer that is made ``length`` tokens long: a budget has to be below it.

    Of a shorter answer than any budget may be, nothing is said of thinking. A budget that is not below what the client
    itself asked for is its own mistake.
    """
    asked, wished = content.get("thinking"), content.get("max_tokens")
    tokens = asked.get("budget_tokens") if isinstance(asked, dict) else None
    if not isinstance(asked, dict) or not isinstance(tokens, int) or not isinstance(wished, int):
        return _NOTHING
    if not length <= tokens < wished:
        return _NOTHING
    return {"thinking": asked | {"budget_tokens": length - 1} if length > _LEAST_BUDGET else None}


def _chosen(choice: Any) -> Any:
    """OpenAI's word, or Anthropic's object."""
    return choice.get("type") if isinstance(choice, dict) else choice
