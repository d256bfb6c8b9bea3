"""Reads fields of a request body; errors name the field."""

from __future__ import annotations

from typing import Any

import orjson

from gateway.core.errors import BadRequest

# vLLM parses with recursion, and answers 500 at a thousand levels; orjson's own writer refuses more than these.
MAX_DEPTH = 254
EXAMPLE = '{"model": ..., "messages": [...]}'


def read_object(body: bytes | bytearray, example: str = EXAMPLE) -> dict[str, Any]:
    """A JSON object.

    Raises:
        BadRequest: not JSON, nested too deeply, or something else than an object.
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest(
            f"the body is not valid JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        ) from None
    if not isinstance(content, dict):
        raise BadRequest(f"the body must be a JSON object like {example}")
    try:
        orjson.dumps(content)  # a quarter of what counting brackets in the text takes
    except orjson.JSONEncodeError:
        _limit_depth(content)
    return content


def read_model(content: dict[str, Any]) -> str:
    model = content.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest(
            "'model' is missing or not a string; GET /v1/models lists what can be asked for", param="model"
        )
    return model


def read_stream(content: dict[str, Any], default: bool = False) -> bool:
    value = content.get("stream")
    return value if isinstance(value, bool) else read_flag(content, "stream", default)


def read_flag(content: dict[str, Any], name: str, default: bool = False) -> bool:
    value = content.get(name)
    if value is not None and not isinstance(value, bool):
        raise BadRequest(f"'{name}' must be true or false", param=name)
    return default if value is None else value


def read_text(content: dict[str, Any], name: str) -> str:
    """A string, empty if it is not there."""
    value = content.get(name)
    if value is not None and not isinstance(value, str):
        raise BadRequest(f"'{name}' must be a string", param=name)
    return value or ""


def read_list(content: dict[str, Any], name: str) -> list[Any]:
    """A list, empty if it is not there."""
    value = content.get(name)
    if value is not None and not isinstance(value, list):
        raise BadRequest(f"'{name}' must be a list", param=name)
    return value or []


def read_dict(content: dict[str, Any], name: str) -> dict[str, Any]:
    """An object, empty if it is not there."""
    value = content.get(name)
    if value is not None and not isinstance(value, dict):
        raise BadRequest(f"'{name}' must be an object", param=name)
    return value or {}


def _limit_depth(content: dict[str, Any]) -> None:
    level: list[Any] = [content]
    for _ in range(MAX_DEPTH):
        level = [
            each
            for holder in level
            for each in (holder.values() if isinstance(holder, dict) else holder)
            if isinstance(each, dict | list)
        ]
        if not level:
            return
    raise BadRequest(f"the body is nested more than {MAX_DEPTH} levels deep")
