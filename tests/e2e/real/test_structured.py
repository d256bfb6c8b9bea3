"""Answers whose form is given: by a schema, a pattern, a list, in each of the three APIs, whole and as a stream."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from jsonschema import validate

from tests.e2e.real.served import NAME, Real, ask, text_of

pytestmark = [pytest.mark.engine]

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 20},
        "age": {"type": "integer", "minimum": 0, "maximum": 130},
        "tags": {"type": "array", "items": {"enum": ["kind", "tall", "old"]}, "minItems": 1, "maxItems": 2},
    },
    "required": ["name", "age", "tags"],
    "additionalProperties": False,
}
QUESTION = "Tell me of Ada, who is 36."
FORM = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA, "strict": True}}
PATTERN = r"On (Monday|Tuesday), at [0-2][0-9]:[0-5][0-9]\."


def both(real: Real, **more: Any) -> str:
    """The answer, which is the same whole and as a stream."""
    asked = ask(QUESTION, **({"max_tokens": 200} | more))
    with real.openai() as sdk:
        whole = sdk.chat.completions.create(**asked).choices[0]
        chunks = list(sdk.chat.completions.create(**asked, stream=True))
    said = whole.message.content or ""
    assert whole.finish_reason == "stop" and said
    assert text_of(chunks) == said
    return said


def test_a_schema(real: Real) -> None:
    validate(json.loads(both(real, response_format=FORM)), SCHEMA)


def test_a_pattern(real: Real) -> None:
    assert re.fullmatch(PATTERN, both(real, extra_body={"structured_outputs": {"regex": PATTERN}}))


def test_a_choice(real: Real) -> None:
    choices = ["She is young", "She is old"]
    assert both(real, extra_body={"structured_outputs": {"choice": choices}}) in choices


def test_a_grammar(real: Real) -> None:
    grammar = 'root ::= "Ada is " ("36" | "37") " years old" "!"?'
    said = both(real, extra_body={"structured_outputs": {"grammar": grammar}})
    assert re.fullmatch(r"Ada is 3[67] years old!?", said)


def test_ollamas_format(real: Real) -> None:
    with real.ollama() as sdk:
        messages = [{"role": "user", "content": QUESTION}]
        options = {"temperature": 0, "num_predict": 200}
        whole = sdk.chat(NAME, messages, format=SCHEMA, options=options)
        parts = list(sdk.chat(NAME, messages, format=SCHEMA, options=options, stream=True))
    validate(json.loads(whole.message.content or ""), SCHEMA)
    assert "".join(part.message.content or "" for part in parts) == whole.message.content


def test_openais_responses(real: Real) -> None:
    form: Any = {"format": {"type": "json_schema", "name": "person", "schema": SCHEMA, "strict": True}}
    with real.openai() as sdk:
        answer = sdk.responses.create(model=NAME, input=QUESTION, text=form, temperature=0, max_output_tokens=200)
    validate(json.loads(answer.output_text), SCHEMA)
