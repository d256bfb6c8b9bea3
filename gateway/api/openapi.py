"""The gateway's own OpenAPI document, made from its route table; bodies are described by the engine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

Json = dict[str, Any]

_TEXT: Json = {"type": "string", "minLength": 1}
_MESSAGES: Json = {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Message"}}
_STREAM: Json = {"type": "boolean"}
_LENGTH: Json = {"type": "integer", "minimum": 1, "description": "Tokens; at most the model's context."}
_STOP: Json = {"anyOf": [_TEXT, {"type": "array", "maxItems": 4, "items": _TEXT}]}


def _body(required: tuple[str, ...], **members: Json) -> Json:
    """An object; what it has beyond these members goes to the engine as it is."""
    model = {"type": "string", "minLength": 1, "description": "One of those that GET /v1/models lists."}
    return {"type": "object", "required": ["model", *required], "properties": {"model": model, **members}}


_OPTIONS: Json = {
    "type": "object",
    "properties": {
        "num_predict": {"type": "integer"},
        "temperature": {"type": "number", "minimum": 0},
        "top_p": {"type": "number"},
        "top_k": {"type": "integer"},
        "seed": {"type": "integer"},
        "stop": {"type": "array", "maxItems": 4, "items": _TEXT},
    },
}
SCHEMAS: dict[str, Json] = {
    "Message": {
        "type": "object",
        "required": ["role", "content"],
        "properties": {"role": {"enum": ["system", "user", "assistant"]}, "content": {"type": "string"}},
    },
    "Chat": _body(
        ("messages",), messages=_MESSAGES, stream=_STREAM, max_tokens=_LENGTH, stop=_STOP,
        n={"type": "integer", "minimum": 1, "maximum": 128},
    ),
    "Completion": _body(("prompt",), prompt=_TEXT, stream=_STREAM, max_tokens=_LENGTH, stop=_STOP),
    "Embedding": _body(
        ("input",), input={"anyOf": [_TEXT, {"type": "array", "minItems": 1, "maxItems": 2048, "items": _TEXT}]}
    ),
    "Response": _body(
        ("input",), input={"anyOf": [_TEXT, _MESSAGES]}, stream=_STREAM, max_output_tokens=_LENGTH, instructions=_TEXT
    ),
    "Anthropic": _body(("messages", "max_tokens"), messages=_MESSAGES, max_tokens=_LENGTH, stream=_STREAM),
    "CountTokens": _body(("messages",), messages=_MESSAGES),
    "Texts": _body(()),
    "Tokenize": _body(("prompt",), prompt=_TEXT),
    "Detokenize": _body(("tokens",), tokens={"type": "array", "items": {"type": "integer", "minimum": 0}}),
    "OllamaChat": _body(("messages",), messages=_MESSAGES, stream=_STREAM, options=_OPTIONS),
    "OllamaGenerate": _body(("prompt",), prompt=_TEXT, system=_TEXT, stream=_STREAM, options=_OPTIONS),
    "OllamaEmbed": _body(("input",), input={"anyOf": [_TEXT, {"type": "array", "maxItems": 2048, "items": _TEXT}]}),
    "OllamaEmbeddings": _body(("prompt",), prompt={"type": "string"}),
    "OllamaShow": _body(()),
    "KeyChange": {
        "type": "object",
        "required": ["do", "name"],
        "properties": {
            "do": {"enum": ["create", "change", "rotate", "revoke"]},
            "name": _TEXT,
            "terms": {"type": "object", "additionalProperties": {"type": "string"}},
            "grace": _TEXT,
        },
    },
    "ModelDeed": {
        "type": "object",
        "required": ["do", "name"],
        "properties": {"do": {"enum": ["load", "unload", "pin", "unpin"]}, "name": _TEXT},
    },
    "OpenAIError": {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["message", "type", "param", "code"],
                "properties": {
                    "message": _TEXT,
                    "type": _TEXT,
                    "param": {"type": ["string", "null"]},
                    "code": {"type": ["string", "integer"]},
                },
            }
        },
    },
    "AnthropicError": {
        "type": "object",
        "required": ["type", "error"],
        "properties": {
            "type": {"const": "error"},
            "error": {
                "type": "object",
                "required": ["type", "message"],
                "properties": {"type": _TEXT, "message": _TEXT},
            },
        },
    },
    "OllamaError": {"type": "object", "required": ["error"], "properties": {"error": _TEXT}},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Operation:
    """One method at one path.

    ``body``: a name in `SCHEMAS`; empty for none. ``answers``: the content types of a good answer. ``errors``: which
    API's shape they have; a name in `SCHEMAS` less its "Error".
    """

    path: str
    method: str
    summary: str
    needs_key: bool
    body: str = ""
    answers: tuple[str, ...] = ("application/json",)
    errors: str = "OpenAI"


def document(version: str, operations: Iterable[Operation]) -> bytes:
    """OpenAPI 3.1 as JSON."""
    paths: dict[str, Json] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return orjson.dumps(
        {
            "openapi": "3.1.0",
            "info": {"title": "Fullbatch gateway", "version": version},
            "paths": paths,
            "components": {
                "schemas": SCHEMAS,
                "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            },
        }
    )


def _operation(operation: Operation) -> Json:
    error = {"schema": {"$ref": f"#/components/schemas/{operation.errors}Error"}}
    good: Json = {"description": "An answer", "content": {kind: {} for kind in operation.answers}}
    found: Json = {
        "summary": operation.summary,
        "responses": {"200": good, "default": {"description": "An error", "content": {"application/json": error}}},
    }
    if operation.method == "HEAD":
        found["responses"] = {"200": {"description": "The same without its body"}}
    if operation.needs_key:
        found["security"] = [{"key": []}]
    if operation.body:
        content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{operation.body}"}}}
        found["requestBody"] = {"required": True, "content": content}
    if "{" in operation.path:
        name = operation.path.partition("{")[2].rstrip("}")
        found["parameters"] = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}}]
    return found
