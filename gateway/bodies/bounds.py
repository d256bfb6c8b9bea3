"""Limits on what one request may ask of an engine, where vLLM itself has none.

One request holds one place in the engine, whatever it asks for: a hundred thousand answers, or ones that are longer
than the model's context, would be at everybody else's expense.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from gateway.bodies.parts import Parts
from gateway.config.setting_types import RequestLimits
from gateway.core.errors import BadRequest

# Answers to one request: choices, times prompts.
MAX_ANSWERS = 128
# Texts in one request for embeddings, scores and the like; OpenAI's own limit.
MAX_TEXTS = 2048
MAX_STOPS = 64
# Entries of the lists and maps that the sampler goes through for every token.
MAX_SAMPLING_ENTRIES = 1024
# Tokens that an answer may be made of: part of a vocabulary, made into a mask once.
MAX_ALLOWED = 65_536
# For one token; what vLLM itself allows unless it is told otherwise.
MAX_LOGPROBS = 20

Check = Callable[[dict[str, Any], str], None]
Limit = Callable[[dict[str, Any], str, RequestLimits], None]


def check(content: dict[str, Any], context: int | None, limits: RequestLimits) -> None:
    """Refuse what is beyond all measure. ``context``: the model's, in tokens; None if the model is not known.

    Raises:
        BadRequest: names the field and its limit.
    """
    for name in filter(_LOOKED_AT.__contains__, content):  # in the body's order: the first that is wrong is told
        if name in _LENGTHS:
            _within_context(content, name, context)
        elif name in _CHECKS:
            _CHECKS[name](content, name)
        if name in _LIMITS:
            _LIMITS[name](content, name, limits)
    if "prompt" in content:
        _limit_prompt(content, context)


def check_parts(parts: Parts, limits: RequestLimits) -> None:
    """The same for what the prompt is made of."""
    if parts.messages > limits.max_messages:
        _refuse("messages", parts.messages, "messages", limits.max_messages, "max_messages")
    if parts.parts > limits.max_parts:
        _refuse("messages", parts.parts, "parts in all", limits.max_parts, "max_parts")
    if len(parts.files) > limits.max_media:
        _refuse("messages", parts.media, "images and the like", limits.max_media, "max_media")


def clamped(content: dict[str, Any], context: int) -> dict[str, int]:
    """Those limits of an answer's length that are over the context, as long as it; an engine takes off the prompt."""
    found = {}
    for name in _ANSWER_LENGTHS:
        value = content.get(name)
        if isinstance(value, int) and value > context:
            found[name] = context
    return found


def output_tokens(content: dict[str, Any]) -> int | None:
    """What a checked request bounds its answer to, over all of its choices; None if it does not."""
    for name in _ANSWER_LENGTHS:
        limit = content.get(name)
        if limit is not None and limit > 0:
            return int(limit * (content.get("n") or 1))
    return None


def read_integer(content: dict[str, Any], name: str) -> int | None:
    """An integer or nothing; vLLM would take "3" and 3.0 as well."""
    value = content.get(name)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise BadRequest(f"'{name}' must be an integer", param=name)
    return value


def _within_context(content: dict[str, Any], name: str, context: int | None) -> None:
    value = read_integer(content, name)
    if value is not None and value < 0:
        raise BadRequest(f"'{name}' is {value}; it cannot be negative", param=name)
    if value is not None and context is not None and value > context:
        raise BadRequest(
            f"'{name}' is {value}, and the model's context is {context} tokens, prompt included", param=name
        )


def _choices(content: dict[str, Any], name: str) -> None:
    value = read_integer(content, name)
    if value is not None and not 1 <= value <= MAX_ANSWERS:
        raise BadRequest(f"'{name}' is {value}; at least 1, at most {MAX_ANSWERS}", param=name)


def _logprobs(content: dict[str, Any], name: str) -> None:
    _within(content[name], name, 0, MAX_LOGPROBS)


def _truncation(content: dict[str, Any], name: str) -> None:
    _within(content[name], name, -1, 2**31)


def _within(value: Any, name: str, low: int, high: int) -> None:
    """What is no integer is left to the engine: chat's `logprobs` is true or false."""
    if isinstance(value, int | float) and not isinstance(value, bool) and not low <= value <= high:
        raise BadRequest(f"'{name}' is {value}; at least {low}, at most {high}", param=name)


def _repetition(content: dict[str, Any], name: str) -> None:
    value = content[name]
    for number in value.values() if isinstance(value, dict) else ():
        _within(number, name, 0, MAX_SAMPLING_ENTRIES)


def _stops(content: dict[str, Any], name: str) -> None:
    _at_most(content, name, MAX_STOPS)


def _sampling(content: dict[str, Any], name: str) -> None:
    _at_most(content, name, MAX_SAMPLING_ENTRIES)


def _allowed(content: dict[str, Any], name: str) -> None:
    _at_most(content, name, MAX_ALLOWED)


def _texts(content: dict[str, Any], name: str) -> None:
    value = content[name]
    # A list of numbers is one text, given as its tokens.
    if isinstance(value, list) and value and not isinstance(value[0], int):
        _at_most(content, name, MAX_TEXTS)


def _at_most(content: dict[str, Any], name: str, limit: int) -> None:
    value = content[name]
    if isinstance(value, list | dict) and len(value) > limit:
        raise BadRequest(f"'{name}' has {len(value)} entries; at most {limit}", param=name)


def _limit_prompt(content: dict[str, Any], context: int | None) -> None:
    prompt = content["prompt"]
    several = isinstance(prompt, list) and bool(prompt) and not isinstance(prompt[0], int)
    answers = (len(prompt) if several else 1) * max(content.get("n") or 1, content.get("best_of") or 1)
    if answers > MAX_ANSWERS:
        raise BadRequest(f"{answers} answers are asked for in one request; at most {MAX_ANSWERS}", param="prompt")
    for tokens in prompt if several else (prompt,):
        if context is not None and isinstance(tokens, list) and len(tokens) > context:
            raise BadRequest(f"'prompt' has {len(tokens)} tokens, and the model's context is {context}", param="prompt")


def _limit_stops(content: dict[str, Any], name: str, limits: RequestLimits) -> None:
    stops = content[name]
    for stop in stops if isinstance(stops, list) else (stops,):
        if isinstance(stop, str) and len(stop) > limits.max_stop_length:
            _refuse(name, len(stop), "characters in one text", limits.max_stop_length, "max_stop_length")


def _limit_tools(content: dict[str, Any], name: str, limits: RequestLimits) -> None:
    tools = content[name]
    if not isinstance(tools, list | dict):
        return  # the engine has its own words for it
    if len(tools) > limits.max_tools:
        _refuse("tools", len(tools), "tools", limits.max_tools, "max_tools")
    size = len(orjson.dumps(tools))
    if size > limits.max_tools_bytes:
        _refuse("tools", size, "bytes", limits.max_tools_bytes, "max_tools_bytes")


def _limit_options(content: dict[str, Any], name: str, limits: RequestLimits) -> None:
    value = content[name]
    if isinstance(value, list | dict | str):
        size = len(orjson.dumps(value))
        if size > limits.max_options_bytes:
            _refuse(name, size, "bytes", limits.max_options_bytes, "max_options_bytes")


def _refuse(name: str, count: int, what: str, limit: int, key: str) -> None:
    raise BadRequest(f"'{name}' has {count} {what}; at most {limit} (limits.requests.{key})", param=name)


_ANSWER_LENGTHS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
_LENGTHS = frozenset({*_ANSWER_LENGTHS, "min_tokens"})
_OPTIONS = frozenset(
    {"chat_template_kwargs", "mm_processor_kwargs", "media_io_kwargs", "vllm_xargs", "chat_template"}
    | {"kv_transfer_params", "ec_transfer_params", "thinking", "reasoning", "include"}
)
_CHECKS: dict[str, Check] = {
    "n": _choices,
    "best_of": _choices,
    "stop": _stops,
    "stop_sequences": _stops,
    "stop_token_ids": _sampling,
    "bad_words": _sampling,
    "logit_bias": _sampling,
    "logprob_token_ids": _sampling,
    "logprobs": _logprobs,
    "top_logprobs": _logprobs,
    "prompt_logprobs": _logprobs,
    "truncate_prompt_tokens": _truncation,
    "thinking_token_budget": _truncation,
    "repetition_detection": _repetition,
    "allowed_token_ids": _allowed,
    "prompt": _texts,
    "documents": _texts,
    "queries": _texts,
    "text_1": _texts,
    "text_2": _texts,
}
_LIMITS: dict[str, Limit] = {
    "stop": _limit_stops,
    "stop_sequences": _limit_stops,
    "tools": _limit_tools,
    **dict.fromkeys(_OPTIONS, _limit_options),
}
_LOOKED_AT = frozenset({*_LENGTHS, *_CHECKS, *_LIMITS})
