"""Limits of one key on each of its requests, in addition to those for all (`bounds`)."""

from __future__ import annotations

from typing import Any, NamedTuple

from gateway.core.call import Principal
from gateway.core.errors import BadRequest


class Length(NamedTuple):
    """How an API says how long an answer may be: the names it reads, and what vLLM 0.32.0 takes where none is given.

    ``default``: tokens; None is what the context leaves.
    """

    names: tuple[str, ...]
    default: int | None = None


CHAT = Length(("max_tokens", "max_completion_tokens"))
COMPLETION = Length(("max_tokens",), 16)
MESSAGE = Length(("max_tokens",))
RESPONSE = Length(("max_output_tokens",))


def members(content: dict[str, Any], who: Principal, length: Length, clamp: bool) -> dict[str, int]:
    """What a checked body has to say besides, so that its answers keep within ``max_output_tokens`` of the key.

    That is of all answers to the request together: each of ``n`` gets its part. A name of another API is judged too,
    though the engine takes no notice of it, and never counts as a limit. ``clamp``: what is over is lowered.

    Raises:
        BadRequest: more than the key may have.
    """
    most = who.max_output_tokens
    if most is None:
        return {}
    answers = _answers(content)
    each = most // answers
    if not each:
        raise BadRequest(
            f"{answers} answers are asked for, and this key's may have {most} tokens together; ask for fewer", param="n"
        )
    found: dict[str, int] = {}
    for name in (*CHAT.names, *RESPONSE.names):
        value = content.get(name)
        if isinstance(value, int) and value > each:
            if not clamp:
                share = f" together, {each} each" if answers > 1 else ""
                raise BadRequest(
                    f"'{name}' is {value}, and this key's answers may have {most} tokens{share}", param=name
                )
            found[name] = each
    if all(content.get(name) is None for name in length.names) and (length.default is None or length.default > each):
        found[length.names[0]] = each
    return found


def _answers(content: dict[str, Any]) -> int:
    """How many texts come of the request: choices, or beams, of each prompt."""
    prompts = 1
    for name in ("prompt", "prompt_embeds"):
        value = content.get(name)
        if isinstance(value, list) and value and not isinstance(value[0], int):
            prompts = max(prompts, len(value))
    return prompts * max(content.get("n") or 1, content.get("best_of") or 1)
