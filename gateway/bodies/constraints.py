"""Finds what a request has an engine compile: answer formats, and tools that are enforced.

Where vLLM 0.32.0 looks for it: `response_format` and `structured_outputs` (chat, completions), `text.format`
(Responses), `output_config` (Messages), and the parameters of tools that are `strict` or that `tool_choice` requires.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from gateway.bodies.compile_cost import CompileCost
from gateway.bodies.json_weight import Scale
from gateway.config.setting_types import RequestLimits
from gateway.core.errors import BadRequest

_FORMS = ("response_format", "text", "output_config", "output_format", "structured_outputs")
# Older engines' names; vLLM 0.32.0 takes no notice of them.
_GUIDED = {"guided_json": "json", "guided_regex": "regex", "guided_choice": "choice", "guided_grammar": "grammar"}
_LOOKED_AT = frozenset((*_FORMS, *_GUIDED, "tools"))
_SAME: dict[str, str] = {}
# No set: what stands there may be anything, a list too.
_PLAIN = ("text", "none", "auto")


def check(content: Mapping[str, Any], limits: RequestLimits, called: Mapping[str, str] = _SAME) -> bool:
    """Whether an engine has to compile anything. ``called``: the client's own names of fields, where others.

    Raises:
        BadRequest: it would take too long; names the field and the limit.
    """
    if _LOOKED_AT.isdisjoint(content):  # nearly always
        return False
    found = False
    cost = CompileCost(limits.compile_s, limits.max_pattern_bytes)
    heaviest = limits.max_json_weight
    for name in _FORMS:
        if content.get(name):
            found = _form(name, content[name], cost, heaviest) or found
            _judge(called.get(name, name), cost, limits)
    for name, kind in _GUIDED.items():
        if content.get(name):
            _outputs({kind: content[name]}, cost, heaviest)
            _judge(name, cost, limits)
    tools = content.get("tools")
    if isinstance(tools, list) and tools:
        enforced = _enforced(tools, content.get("tool_choice"))
        if enforced:
            found = True
            for tool in enforced:
                _tool(tool, cost)
            _judge("tools", cost, limits)
    return found


def _judge(name: str, cost: CompileCost, limits: RequestLimits) -> None:
    if cost.pattern_bytes > limits.max_pattern_bytes:
        raise BadRequest(
            f"'{name}' has regexes or grammars of more than {limits.max_pattern_bytes} bytes in all "
            "(limits.requests.max_pattern_bytes)",
            param=name,
        )
    if cost.seconds > limits.compile_s:
        raise BadRequest(
            f"'{name}' would take the engine too long to compile: about {_rough(cost.seconds)} s, at most "
            f"{limits.compile_s:g} (limits.requests.compile_s); most of it for {cost.why}",
            param=name,
        )


def _rough(seconds: float) -> str:
    return f"{seconds:.1f}" if seconds < 1000 else "over 1000"


def _form(name: str, form: Any, cost: CompileCost, heaviest: int) -> bool:
    if not isinstance(form, dict):
        return False
    if name == "structured_outputs":
        return _outputs(form, cost, heaviest)
    if name in ("text", "output_config"):
        form = form.get("format")
        if not isinstance(form, dict):
            return False
    cost.schema(form)
    return form.get("type") not in _PLAIN


def _outputs(outputs: dict[str, Any], cost: CompileCost, heaviest: int) -> bool:
    for name in ("json", "structural_tag"):
        spec = outputs.get(name)
        cost.schema(_parsed(name, spec, cost, heaviest) if isinstance(spec, str) else spec)
    if isinstance(outputs.get("regex"), str):
        cost.regex(outputs["regex"])
    if isinstance(outputs.get("grammar"), str):
        cost.grammar(outputs["grammar"])
    cost.texts(outputs.get("choice") or [])
    for name in ("json", "structural_tag", "regex", "grammar", "choice", "json_object"):
        if outputs.get(name) is not None:
            return True
    return False


def _parsed(name: str, text: str, cost: CompileCost, heaviest: int) -> Any:
    """A schema that is given as a text; what is no JSON is left to the engine, as a text of that length."""
    if cost.too_long(len(text)):
        return text
    scale = Scale()
    scale.add(text.encode())
    if scale.weight > heaviest:
        raise BadRequest(
            f"the JSON in 'structured_outputs.{name}' holds too many lists, objects and values; its weight "
            f"may be {heaviest} (limits.requests.max_json_weight)",
            param="structured_outputs",
        )
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _enforced(tools: list[Any], choice: Any) -> list[dict[str, Any]]:
    """The tools whose parameters an answer is held to."""
    known = [tool for tool in tools if isinstance(tool, dict)]
    kind = choice.get("type") if isinstance(choice, dict) else choice
    if kind == "none":
        return []
    if isinstance(choice, dict) and kind not in _PLAIN:
        function = choice.get("function")
        name = function.get("name") if isinstance(function, dict) else choice.get("name")
        named = [tool for tool in known if name is not None and _function(tool).get("name") == name]
        return named or known
    if kind in ("required", "any"):
        return known
    return [tool for tool in known if _function(tool).get("strict") or tool.get("strict") or "tools" in tool]


def _function(tool: dict[str, Any]) -> dict[str, Any]:
    function = tool.get("function")
    return function if isinstance(function, dict) else tool


def _tool(tool: dict[str, Any], cost: CompileCost) -> None:
    function = _function(tool)
    for name in ("parameters", "input_schema", "tools"):
        cost.schema(function.get(name))
    form = function.get("format") or function.get("custom")
    if isinstance(form, dict):
        definition = form.get("definition")
        if isinstance(definition, str):
            (cost.regex if form.get("syntax") == "regex" else cost.grammar)(definition)
        cost.schema(form)
