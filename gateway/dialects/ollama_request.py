"""Translates Ollama's request into OpenAI's. Pure.

https://github.com/ollama/ollama/blob/main/docs/api.md, api/types.go. What chooses how a model is loaded (num_ctx,
num_gpu, keep_alive ...) has been decided when the engine was started, and is ignored; so are samplers that vLLM lacks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from gateway.core.errors import BadRequest
from gateway.dialects.fields import read_dict, read_flag, read_list, read_text

_INTEGERS = {"seed": "seed", "top_k": "top_k"}
_NUMBERS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "min_p": "min_p",
    "repeat_penalty": "repetition_penalty",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}
THINK_LEVELS = ("low", "medium", "high", "max")
# The first characters of the base64 of a file's magic bytes.
_IMAGE_KINDS = {"/9j/": "jpeg", "iVBOR": "png", "R0lGOD": "gif", "UklGR": "webp"}


def sampling(content: dict[str, Any], context: int | None) -> dict[str, Any]:
    """The members of ``options`` that vLLM knows. ``context``: the model's; an answer cannot be longer."""
    options = read_dict(content, "options")
    found: dict[str, Any] = {}
    for theirs, ours in _INTEGERS.items():
        if (integer := _integer(options, theirs)) is not None:
            found[ours] = integer
    for theirs, ours in _NUMBERS.items():
        value = options.get(theirs)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadRequest(f'option "{theirs}" must be a number', param=f"options.{theirs}")
        found[ours] = value
    if found.get("seed", 0) < 0:  # Ollama's word for any
        del found["seed"]
    limit = _integer(options, "num_predict")
    if limit is not None and limit > 0:  # else without limit
        found["max_tokens"] = min(limit, context or limit)
    return found | _stop(options)


def wishes(content: dict[str, Any]) -> dict[str, Any]:
    """``format``, ``think`` and ``logprobs``."""
    found = _format(content.get("format")) | _think(content.get("think"))
    if read_flag(content, "logprobs"):
        found["logprobs"] = True
        if (top := _integer(content, "top_logprobs")) is not None:
            found["top_logprobs"] = top
    return found


def messages(content: dict[str, Any]) -> list[dict[str, Any]]:
    """A chat's messages. Tool answers are given the id of the call that they answer: Ollama has names only."""
    found: list[dict[str, Any]] = []
    open_calls: list[tuple[str, str]] = []
    for number, message in enumerate(read_list(content, "messages")):
        where = f"messages[{number}]"
        if not isinstance(message, dict):
            raise BadRequest(f"'{where}' must be an object with 'role' and 'content'", param=where)
        role = read_text(message, "role").lower()
        made: dict[str, Any] = {"role": role, "content": _content(read_text(message, "content"), message)}
        if thinking := read_text(message, "thinking"):
            made["reasoning"] = thinking
        if calls := read_list(message, "tool_calls"):
            made["tool_calls"] = [_tool_call(call, len(open_calls) + index) for index, call in enumerate(calls)]
            open_calls += [(call["function"]["name"], call["id"]) for call in made["tool_calls"]]
        if role == "tool":
            made["tool_call_id"] = read_text(message, "tool_call_id") or _answered(
                open_calls, read_text(message, "tool_name") or read_text(message, "name")
            )
        found.append(made)
    return found


def prompt_messages(content: dict[str, Any]) -> list[dict[str, Any]]:
    """What /api/generate asks, as a chat of one message: so the engine puts the model's template around it."""
    system = read_text(content, "system")
    user = {"role": "user", "content": _content(read_text(content, "prompt"), content)}
    return [*([{"role": "system", "content": system}] if system else []), user]


def refuse(content: dict[str, Any], reasons: dict[str, str]) -> None:
    """Refuse what a member asks for, rather than answer something else."""
    for name, why in reasons.items():
        if content.get(name):
            raise BadRequest(f"'{name}' is not served: {why}", param=name)


def _integer(options: dict[str, Any], name: str) -> int | None:
    value = options.get(name)
    if value is None:
        return None
    # Clients that have only floating-point numbers send 5.0; Ollama takes that as well.
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadRequest(f'option "{name}" must be of type integer', param=f"options.{name}")
    return value


def _stop(options: dict[str, Any]) -> dict[str, Any]:
    stop = options.get("stop")
    if stop is None or stop == []:
        return {}
    if isinstance(stop, str):
        return {"stop": [stop]}
    if not isinstance(stop, list) or not all(isinstance(each, str) for each in stop):
        raise BadRequest('option "stop" must be of an array of strings', param="options.stop")
    return {"stop": stop}


def _format(wish: Any) -> dict[str, Any]:
    if wish is None or wish == "":
        return {}
    if wish == "json":
        return {"response_format": {"type": "json_object"}}
    if isinstance(wish, dict):
        return {"response_format": {"type": "json_schema", "json_schema": {"name": "format", "schema": wish}}}
    raise BadRequest("'format' must be \"json\" or a JSON schema", param="format")


def _think(wish: Any) -> dict[str, Any]:
    """Templates differ in what they call it; vLLM gives each of them the names that it reads."""
    if wish is None:
        return {}
    if not isinstance(wish, bool) and wish not in THINK_LEVELS:
        levels = ", ".join(f'"{level}"' for level in THINK_LEVELS)
        raise BadRequest(f"'think' must be true, false, {levels}", param="think")
    on = wish is not False
    found: dict[str, Any] = {"chat_template_kwargs": {"enable_thinking": on, "thinking": on}}
    return found | ({"reasoning_effort": wish} if isinstance(wish, str) else {})


def _content(text: str, holder: dict[str, Any]) -> str | list[dict[str, Any]]:
    images = read_list(holder, "images")
    if not images:
        return text
    parts: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
    return parts + [{"type": "image_url", "image_url": {"url": url}} for url in _data_urls(images)]


def _data_urls(images: list[Any]) -> Iterable[str]:
    for image in images:
        if not isinstance(image, str) or not image:
            raise BadRequest("'images' must be a list of base64 strings", param="images")
        kind = next((kind for start, kind in _IMAGE_KINDS.items() if image.startswith(start)), "png")
        yield image if image.startswith("data:image/") else f"data:image/{kind};base64,{image}"


def _tool_call(call: Any, number: int) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise BadRequest("a tool call must be an object with 'function': {'name', 'arguments'}", param="tool_calls")
    arguments = orjson.dumps(read_dict(function, "arguments")).decode()
    made = {"name": function["name"], "arguments": arguments}
    return {"id": read_text(call, "id") or f"call_{number}", "type": "function", "function": made}


def _answered(open_calls: list[tuple[str, str]], name: str) -> str:
    """The id of the oldest open call of that name, or else of the oldest."""
    index = next((index for index, (called, _) in enumerate(open_calls) if called == name), 0)
    return open_calls.pop(index)[1] if open_calls else "call_0"
