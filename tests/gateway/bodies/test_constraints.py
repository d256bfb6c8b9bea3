"""What an engine has to compile is found wherever a request can put it, on every API."""

from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest

from gateway.bodies import constraints
from gateway.config.setting_types import RequestLimits
from gateway.core.errors import BadRequest
from tests.gateway.harness import Engine

HUGE = {"type": "object", "properties": {f"p{index}": {"type": "string"} for index in range(10_000)}}
SMALL = {"type": "object", "properties": {"city": {"type": "string"}}}
LIMITS = RequestLimits()
REGEX = "(a[a-z])?" * 200
GRAMMAR = "root ::= " + '"a"? ' * 300
CUSTOM = {"type": "custom", "name": "x", "strict": True, "format": {"syntax": "regex", "definition": REGEX}}


def as_text(schema: Any) -> str:
    return orjson.dumps(schema).decode()


def forms(schema: Any) -> list[tuple[str, Any]]:
    function = {"name": "f", "parameters": schema}
    format_ = {"type": "json_schema", "name": "s", "schema": schema}
    inner = {"type": "json_schema", "json_schema": schema}
    tag = {"type": "tag", "begin": "<", "end": ">", "content": inner}
    return [
        ("response_format", {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}),
        ("response_format", {"type": "structural_tag", "format": {"type": "or", "elements": [tag]}}),
        ("response_format", {"type": "structural_tag", "triggers": ["<"], "structures": [{"schema": schema}]}),
        ("structured_outputs", {"json": schema}),
        ("structured_outputs", {"json": as_text(schema)}),
        ("structured_outputs", {"structural_tag": as_text({"structures": [{"begin": "a", "schema": schema}]})}),
        ("text", {"format": format_}),
        ("output_config", {"format": format_}),
        ("guided_json", schema),
        ("guided_json", as_text(schema)),
        ("tools", [{"type": "function", "function": function | {"strict": True}}]),
        ("tools", [{"type": "function", "strict": True, **function}]),
        ("tools", [{"name": "f", "strict": True, "input_schema": schema}]),
        ("tools", [{"type": "namespace", "tools": [{"name": "f", "parameters": schema}]}]),
    ]


@pytest.mark.parametrize("number", range(len(forms(SMALL))))
def test_p120_a_huge_schema_is_found_and_a_small_one_passes(number: int) -> None:
    name, value = forms(HUGE)[number]
    with pytest.raises(BadRequest, match="limits.requests.compile_s") as refused:
        constraints.check({name: value}, LIMITS)
    assert refused.value.param == name and f"'{name}'" in refused.value.message
    assert "optional properties" in refused.value.message or "places" in refused.value.message
    name, value = forms(SMALL)[number]
    assert constraints.check({name: value}, LIMITS) == (not name.startswith("guided"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("structured_outputs", {"regex": REGEX}),
        ("structured_outputs", {"regex": "a" * 1_000_000}),
        ("structured_outputs", {"grammar": GRAMMAR}),
        ("structured_outputs", {"grammar": 'root ::= "' + "a" * 1_000_000 + '"'}),
        ("structured_outputs", {"choice": [f"choice {number}" for number in range(50_000)]}),
        ("structured_outputs", {"json": "{" * 1_000_000}),
        ("guided_regex", REGEX),
        ("response_format", {"type": "structural_tag", "format": {"type": "regex", "pattern": REGEX}}),
        ("response_format", {"type": "structural_tag", "format": {"type": "grammar", "grammar": GRAMMAR}}),
        ("tools", [CUSTOM]),
    ],
)
def test_p120_regexes_grammars_and_choices(name: str, value: Any) -> None:
    with pytest.raises(BadRequest, match="limits.requests") as refused:
        constraints.check({name: value}, LIMITS)
    assert refused.value.param == name


def test_p122_json_inside_a_text_is_weighed_before_it_is_parsed() -> None:
    for name in ("json", "structural_tag"):
        with pytest.raises(BadRequest, match="max_json_weight"):
            constraints.check({"structured_outputs": {name: "[" + "[]," * 300_000 + "[]]"}}, LIMITS)


def tools(count: int, schema: Any) -> list[dict[str, Any]]:
    return [{"type": "function", "function": {"name": f"f{n}", "parameters": schema}} for n in range(count)]


def test_p120_tools_count_where_an_answer_is_held_to_them() -> None:
    huge = tools(1, HUGE)
    offered: tuple[Any, ...] = (None, "auto", "none", {"type": "auto"}, {"type": "none"})
    for choice in offered:
        assert not constraints.check({"tools": huge, "tool_choice": choice}, LIMITS)
    enforced: tuple[Any, ...] = (
        "required",
        {"type": "any"},
        {"type": "function", "function": {"name": "f0"}},
        {"type": "tool", "name": "f0"},
        {"type": "function", "name": "no such"},
        {"type": "allowed_tools", "mode": "required", "tools": []},
    )
    for choice in enforced:
        with pytest.raises(BadRequest, match="'tools'"):
            constraints.check({"tools": huge, "tool_choice": choice}, LIMITS)
    named = {"type": "function", "function": {"name": "small"}}
    small = [{"type": "function", "function": {"name": "small", "parameters": SMALL}}]
    assert constraints.check({"tools": huge + small, "tool_choice": named}, LIMITS)


def test_p120_the_tools_of_an_agent_pass() -> None:
    part = {"type": "object", "properties": {f"p{n}": {"type": "string", "description": "x" * 80} for n in range(8)}}
    schema = {
        "type": "object",
        "properties": {"a": part, "b": {"type": "array", "items": part}, "c": {"enum": ["x"] * 9}},
    }
    assert constraints.check({"tools": tools(50, schema), "tool_choice": "required"}, LIMITS)
    with pytest.raises(BadRequest):
        constraints.check(
            {"tools": tools(256, part | {"required": [], "minProperties": 2}) * 4, "tool_choice": "any"}, LIMITS
        )


def test_p120_the_limit_is_a_setting() -> None:
    content = {"response_format": {"type": "json_schema", "json_schema": {"schema": HUGE}}}
    assert constraints.check(content, RequestLimits(compile_s=600))
    middling = {"structured_outputs": {"json": {"enum": ["x" * 30_000]}}}
    assert constraints.check(middling, LIMITS)
    with pytest.raises(BadRequest):
        constraints.check(middling, RequestLimits(compile_s=0.1))


def test_whether_there_is_anything_to_compile() -> None:
    for plain in (
        {},
        {"response_format": {"type": "text"}},
        {"text": {"verbosity": "low"}},
        {"tools": tools(3, SMALL)},
    ):
        assert not constraints.check(plain, LIMITS)
    for structured in ({"response_format": {"type": "json_object"}}, {"structured_outputs": {"json_object": True}}):
        assert constraints.check(structured, LIMITS)


def test_what_makes_no_sense_is_left_to_the_engine() -> None:
    for value in (5, "x", [], ["x"], {"type": 5}, {"json": 5, "regex": [], "choice": "x"}, {"json": "no json"}):
        for name in ("response_format", "structured_outputs", "text", "output_config", "tools", "guided_json"):
            constraints.check({name: value, "tool_choice": value}, LIMITS)


SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": HUGE}}
CHAT = [{"role": "user", "content": "x"}]


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/chat/completions", {"messages": CHAT, "response_format": SCHEMA}, "response_format"),
        ("/v1/completions", {"prompt": "x", "structured_outputs": {"regex": REGEX}}, "structured_outputs"),
        ("/v1/responses", {"input": "x", "text": {"format": SCHEMA["json_schema"]}}, "text"),
        ("/v1/messages", {"messages": CHAT, "max_tokens": 5, "output_config": {"format": SCHEMA}}, "output_config"),
        ("/v1/messages", {"messages": CHAT, "max_tokens": 5, "tools": [{}] * 300}, "tools"),
        ("/api/chat", {"messages": CHAT, "format": HUGE}, "format"),
        ("/api/generate", {"prompt": "x", "format": HUGE}, "format"),
        ("/api/chat", {"messages": CHAT, "tools": [{}] * 300}, "tools"),
    ],
)
def test_p120_every_api_refuses_before_the_engine_hears_of_it(
    client: httpx.Client, engine: Engine, path: str, body: dict[str, Any], param: str
) -> None:
    before = {name: count for name, count in engine.paths().items() if name.startswith("POST")}
    refused = client.post(path, json={"model": "tiny", **body})
    assert refused.status_code == 400
    assert f"'{param}'" in refused.text and "limits.requests" in refused.text
    after = {name: count for name, count in engine.paths().items() if name.startswith("POST")}
    assert sum(after.values()) - sum(before.values()) <= 1  # a canary may have come between


@pytest.mark.parametrize("odd", [["json_schema"], {}, 7, True])
def test_p120_a_type_that_is_no_text_is_left_to_the_engine(odd: Any) -> None:
    assert constraints.check({"response_format": {"type": odd}}, LIMITS)
    assert constraints.check({"text": {"format": {"type": odd}}}, LIMITS)
    assert constraints.check({"tools": [{"name": "f"}], "tool_choice": {"type": odd}}, LIMITS)
