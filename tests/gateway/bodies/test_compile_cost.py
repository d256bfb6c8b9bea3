"""How long engines compile: by estimate, and against the times that were measured (xgrammar 0.2.8, 131,000 tokens)."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from gateway.bodies.compile_cost import CompileCost

TEXT = {"type": "string"}
RANDOM = random.Random(1)


def some(count: int) -> str:
    return "".join(RANDOM.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(count))


def made(count: int, schema: Any = TEXT, required: bool = False, **more: Any) -> dict[str, Any]:
    names = [f"p{index}" for index in range(count)]
    need = {"required": names} if required else {}
    return {"type": "object", "properties": dict.fromkeys(names, schema), **need, **more}


def nested(depth: int, width: int) -> dict[str, Any]:
    schema = made(width)
    for _ in range(depth - 1):
        schema = made(width, schema)
    return schema


def doubling(steps: int) -> dict[str, Any]:
    defs: dict[str, Any] = {
        f"d{index}": made(2, {"$ref": f"#/$defs/d{index + 1}"}, True, patternProperties={"^x": TEXT})
        for index in range(steps)
    }
    return {"$defs": defs | {f"d{steps}": TEXT}, "$ref": "#/$defs/d0"}


def schema_s(schema: Any) -> float:
    cost = CompileCost()
    cost.schema(schema)
    return cost.seconds


def regex_s(pattern: str) -> float:
    cost = CompileCost()
    cost.regex(pattern)
    return cost.seconds


def grammar_s(grammar: str) -> float:
    cost = CompileCost()
    cost.grammar(grammar)
    return cost.seconds


@pytest.mark.parametrize(
    ("schema", "measured_s"),
    [
        (made(300), 0.23),
        (made(500), 0.61),
        (made(1000), 2.6),
        (made(500, required=True), 0.05),
        (made(100, maxProperties=50), 0.99),
        (made(200, minProperties=100), 10.3),
        ({"enum": [some(50) for _ in range(1000)]}, 0.54),
        ({"enum": [some(50) for _ in range(3000)]}, 3.9),
        ({"type": "object", "properties": {some(100): TEXT for _ in range(400)}}, 1.7),
        (nested(10, 2), 0.26),
    ],
)
def test_p120_the_estimate_is_near_what_was_measured(schema: dict[str, Any], measured_s: float) -> None:
    assert measured_s / 2 < schema_s(schema) < measured_s * 5


@pytest.mark.parametrize(
    "schema",
    [
        made(1000),
        made(10_000),
        made(200, minProperties=1),
        made(120, maxProperties=100),
        {"anyOf": [made(600), made(600)]},
        {"items": {"items": {"$defs": {"x": made(700)}}}},
        {"enum": [f"value {number}" for number in range(100_000)]},
        {"const": {f"k{number}": "x" * 20 for number in range(10_000)}},
        {"const": "x" * 200_000},
        {"type": "array", "items": TEXT, "minItems": 100_000},
        {"type": "array", "minItems": 1e9},
        {"type": "array", "items": {"type": "integer", "multipleOf": 7}, "maxItems": 1_000_000},
        made(300, {"type": "string", "format": "email"}),
        made(1, {"type": "string", "pattern": "a?" * 500}),
        made(1, {"type": "string", "pattern": "(" + "[a-z]?" * 60 + ")"}),
        {"patternProperties": {"^" + ".?x?" * 50: TEXT}},
        {"anyOf": [{"type": "string", "minLength": 500, "maxLength": 1000 + number} for number in range(20)]},
        {"prefixItems": [TEXT] * 20_000},
        {"allOf": [{"$ref": "#/$defs/a"}] * 20_000},
        doubling(20),
        made(60, {"type": "integer", "multipleOf": 7}, patternProperties={"^a": TEXT}),
        [made(600)] * 2,
        nested(7, 6),
    ],
)
def test_p120_what_keeps_an_engine_for_seconds_is_known(schema: Any) -> None:
    assert schema_s(schema) > 1


@pytest.mark.parametrize(
    "schema",
    [
        made(200),
        made(40, made(5), required=True),
        made(20, {"type": "string", "maxLength": 200}),
        made(3, {"anyOf": [{"type": "string", "maxLength": length} for length in (120, 500, 2000, 10_000)]}),
        made(1, {"type": "string", "maxLength": 2_147_483_647}),
        made(30, {"type": "string", "format": "date-time"}),
        made(30, {"enum": [f"country {number}" for number in range(250)]}),
        made(
            10, {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:\d{2})$"}
        ),
        made(1, {"pattern": r"^(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-((?:0|[1-9]\d*)(?:\.(?:0|\d*[a-z-][0-9a-z-]*))*))?$"}),
        made(5, {"type": "array", "items": made(10), "minItems": 1, "maxItems": 1000}),
        {"$defs": {"tree": made(3, {"$ref": "#/$defs/tree"})}, "$ref": "#/$defs/tree"},
        made(20, {"description": "x" * 5000, "title": "a", "default": "y" * 5000}),
        True,
        {},
        None,
    ],
)
def test_p120_what_people_write_passes(schema: Any) -> None:
    assert schema_s(schema) < 1


def test_p120_patterns_and_grammars() -> None:
    for pattern in ("a?" * 500, "(a[a-z])?" * 100, ".?x?" * 25, "x*" * 100, "." * 1000, "([a-z]{0,20} ){0,20}" * 40):
        assert regex_s(pattern) > 1, pattern
    for pattern in (r"[a-z0-9._%+-]+@[a-z0-9.-]+\.[a-z]{2,10}", "(yes|no|maybe)", "[^,]*," * 20, ".{1,400}", r"\w+"):
        assert regex_s(pattern) < 1, pattern
    chained = "root ::= r0\n" + "".join(f"r{n} ::= " + '("a" [a-z])? ' * 20 + f"r{n + 1}\n" for n in range(10))
    lark = "start: " + "[a] " * 100 + '\na: "x"\n'
    for grammar in ('root ::= ' + '"a"? ' * 200, chained, 'root ::= ' + '("" | "a") ' * 200, lark):  # fmt: skip
        assert grammar_s(grammar) > 1, grammar[:60]
    expression = 'root ::= term (("+" | "-") term)*\nterm ::= num | "(" root ")"\nnum ::= [0-9]+ ("." [0-9]+)?\n'
    many = (
        "root ::= "
        + " | ".join(f"r{n}" for n in range(400))
        + "\n"
        + "".join(f'r{n} ::= "{some(6)}"\n' for n in range(400))
    )
    for grammar in (expression, many, 'start: "a" | "b"'):
        assert grammar_s(grammar) < 1, grammar[:60]


def test_p120_the_cause_is_named() -> None:
    cost = CompileCost()
    cost.schema(made(1000))
    assert cost.why == "optional properties"
    cost.texts(["x" * 300_000])
    assert cost.why == "texts"


def test_members_of_any_kind_are_taken() -> None:
    values: tuple[Any, ...] = (None, True, 5, 1.5, "x", [], [[]], {}, {"x": None})
    for value in values:
        names = (
            "properties",
            "required",
            "enum",
            "const",
            "minLength",
            "maxLength",
            "minItems",
            "pattern",
            "$ref",
            "items",
        )
        schema_s({name: value for name in names})


def test_numbers_of_any_size_are_taken() -> None:
    for number in (10**400, 1e308, -1e308, float("inf"), float("nan"), 2.5, -5):
        names = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties", "minContains")
        schema_s({name: number for name in names} | {"properties": {"a": {}}})
    for pattern in ("a{99999999999999999999}", ".{0,999999999999999999999}", "a{1,2,3}", "a{,}", "(a{200}){200}" * 50):
        regex_s(pattern)
    for depth in (5000,):
        regex_s("(" * depth + "a" + ")?" * depth)
        grammar_s("root ::= " + "(" * depth + '"a"' + ")?" * depth)


def test_an_estimate_never_takes_long_itself() -> None:
    began = time.thread_time()
    schemas: tuple[Any, ...] = (made(100_000), {"enum": ["x"] * 500_000}, [[]] * 500_000, {"const": [{}] * 300_000})
    for schema in schemas:
        assert schema_s(schema) > 1
    assert regex_s("a?" * 5_000_000) == 0  # over max_pattern_bytes: not read, and refused for that
    assert time.thread_time() - began < 0.5
