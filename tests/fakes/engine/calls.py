"""When the fake calls a function: a client's loop ends only where a model stops calling once it has the result."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.fakes.engine.knobs import Knobs
from tests.fakes.engine.shapes import Ask


def answered(ask: Ask, body: dict[str, Any], knobs: Knobs) -> Ask:
    """The request with how it is answered; only OpenAI's chat is answered with calls.

    A loop's answers are at most ``knobs.tokens`` long, whatever the client allows, as a model's that ends by itself.
    """
    ask = replace(ask, answer=knobs.answer, tool=knobs.tool, arguments=knobs.arguments)
    if knobs.answer != "loop":
        return ask
    offered = {tool["function"]["name"] for tool in body.get("tools") or [] if "function" in tool}
    has_result = (body.get("messages") or [{}])[-1].get("role") == "tool"
    kind = "tools" if knobs.tool in offered and not has_result else "text"
    return replace(ask, answer=kind, max_new=min(ask.max_new, knobs.tokens), ends=True)
