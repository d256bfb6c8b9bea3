"""What a request may ask of an engine at most. What vLLM refuses by itself is left to it; this is what it would do.

One request holds one place in the engine, whatever it asks for: a hundred thousand answers, or ones that are longer
than the model's context, would be at everybody else's expense.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.errors import BadRequest

# Answers to one request: choices, times prompts.
MAX_ANSWERS = 128
# Texts in one request for embeddings, scores and the like; OpenAI's own limit.
MAX_TEXTS = 2048
MAX_STOPS = 64
# Entries of the lists and maps that the sampler goes through for every token.
MAX_SAMPLING_ENTRIES = 1024

Check = Callable[[dict[str, Any], str], None]


def check(content: dict[str, Any], context: int | None) -> None:
    """Refuse what is beyond all measure. ``context``: the model's, in tokens; None if the model is not known.

    Raises:
        BadRequest: names the field and its limit.
    """
    for name in content:
        if name in _LENGTHS:
            _within_context(content, name, context)
        elif name in _CHECKS:
            _CHECKS[name](content, name)
    if "prompt" in content:
        _limit_answers(content)


def output_tokens(content: dict[str, Any]) -> int | None:
    """What a checked request bounds its answer to, over all of its choices; None if it does not."""
    for name in ("max_completion_tokens", "max_tokens", "max_output_tokens"):
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
    if value is not None and context is not None and value > context:
        raise BadRequest(
            f"'{name}' is {value}, and the model's context is {context} tokens, prompt included", param=name
        )


def _choices(content: dict[str, Any], name: str) -> None:
    value = read_integer(content, name)
    if value is not None and value > MAX_ANSWERS:
        raise BadRequest(f"'{name}' is {value}; at most {MAX_ANSWERS}", param=name)


def _stops(content: dict[str, Any], name: str) -> None:
    _at_most(content, name, MAX_STOPS)


def _sampling(content: dict[str, Any], name: str) -> None:
    _at_most(content, name, MAX_SAMPLING_ENTRIES)


def _texts(content: dict[str, Any], name: str) -> None:
    value = content[name]
    # A list of numbers is one text, given as its tokens.
    if isinstance(value, list) and value and not isinstance(value[0], int):
        _at_most(content, name, MAX_TEXTS)


def _at_most(content: dict[str, Any], name: str, limit: int) -> None:
    value = content[name]
    if isinstance(value, list | dict) and len(value) > limit:
        raise BadRequest(f"'{name}' has {len(value)} entries; at most {limit}", param=name)


def _limit_answers(content: dict[str, Any]) -> None:
    prompt = content["prompt"]
    prompts = len(prompt) if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int) else 1
    answers = prompts * max(content.get("n") or 1, content.get("best_of") or 1)
    if answers > MAX_ANSWERS:
        raise BadRequest(f"{answers} answers are asked for in one request; at most {MAX_ANSWERS}", param="prompt")


_LENGTHS = frozenset({"max_completion_tokens", "max_tokens", "max_output_tokens", "min_tokens"})
_CHECKS: dict[str, Check] = {
    "n": _choices,
    "best_of": _choices,
    "stop": _stops,
    "stop_sequences": _stops,
    "stop_token_ids": _sampling,
    "bad_words": _sampling,
    "logit_bias": _sampling,
    "logprob_token_ids": _sampling,
    "prompt": _texts,
    "documents": _texts,
    "queries": _texts,
    "text_1": _texts,
    "text_2": _texts,
}
