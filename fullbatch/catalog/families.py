"""How a model writes calls of tools and thinking, and which of the engine's parsers reads that: by family
(families.yaml), and by its own chat template where that is known."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from fullbatch.catalog import Model, read

_NO_TEMPLATE = "it has no chat template: a base model, as it seems"
_NO_PLACE = "its chat template has no place for tools"
_NO_THOUGHT = "its chat template has no thinking"
_UNKNOWN_CALLS = "its chat template writes calls in a way that is not known here"


@dataclass(frozen=True)
class Family:
    """`tools`, `thinking`: the engine's parsers, "" for none, and then why. `mark`: what its chat template writes calls
    with. `switch`: the word of the template that turns thinking on and off, "" where nothing does; `thinks`: whether it
    does by default. `kwargs`: given to the template by default; `flags`: of `vllm serve` beside. `own_template`: the
    engine renders its prompts itself.
    """

    name: str
    tools: str = ""
    thinking: str = ""
    why_no_tools: str = ""
    why_no_thinking: str = ""
    mark: str = ""
    switch: str = ""
    thinks: bool = False
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    flags: Mapping[str, Any] = field(default_factory=dict)
    own_template: bool = False


def of(model: Model) -> Family:
    """The family of a model, as far as its own chat template bears it out."""
    found = _named(model)
    if model.pooling:
        why = f"{model.title} makes vectors or scores, no text"
        return Family(found.name, why_no_tools=why, why_no_thinking=why)
    if model.chat_template is None or found.own_template:
        return found
    return _by_template(found, model.chat_template)


@cache
def rows() -> tuple[tuple[Family, tuple[str, ...], re.Pattern[str]], ...]:
    """Every family, the model types it may have, and what its names look like; in the order of the file."""
    return tuple(_row(dict(facts)) for facts in read("families.yaml")["families"])


def _row(facts: dict[str, Any]) -> tuple[Family, tuple[str, ...], re.Pattern[str]]:
    facts.pop("source")
    types, named = tuple(facts.pop("types")), re.compile(facts.pop("named", ""), re.IGNORECASE)
    return Family(**facts), types, named


def _named(model: Model) -> Family:
    """By its type and name alone."""
    name = (model.base or model.name).rstrip("/").rpartition("/")[2]
    for family, types, named in rows():
        if ("*" in types or model.model_type in types) and named.search(name):
            return family
    why = f"no family known here has its type ({model.model_type or 'none named'})"
    return Family("unknown", why_no_tools=why, why_no_thinking=why)


def _by_template(family: Family, template: str) -> Family:
    if not template:
        return Family(family.name, why_no_tools=_NO_TEMPLATE, why_no_thinking=_NO_TEMPLATE)
    thinking = family.thinking if "think" in template.lower() or family.mark == "<|channel|>" else ""
    why_no_thinking = family.why_no_thinking or ("" if thinking else _NO_THOUGHT)
    tools = _parser(family, template)
    why = "" if tools else (_UNKNOWN_CALLS if "tools" in template else _NO_PLACE)
    return replace(family, tools=tools, why_no_tools=why, thinking=thinking, why_no_thinking=why_no_thinking)


def _parser(family: Family, template: str) -> str:
    """What reads calls as this template writes them; "" where that is not known, or it writes none."""
    if "tools" not in template:
        return ""
    if family.tools and family.mark in template:
        return family.tools
    return next((str(one["tools"]) for one in read("families.yaml")["marks"] if one["mark"] in template), "")
