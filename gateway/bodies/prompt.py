"""Estimates of a prompt before it is tokenised."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gateway.bodies.parts import Parts
from gateway.core.call import BYTES_PER_TOKEN
from gateway.core.errors import BadRequest

_SLICE = 128 * 1024
_BLANKS = " \n\r\t\v\f\u00a0\u3000"


def estimate(size: int, parts: Parts) -> int:
    """Tokens of the prompt, from the body's ``size`` in bytes; corrected when the engine has counted."""
    return max(size - parts.inline_bytes, 0) // BYTES_PER_TOKEN + parts.media_tokens


def tokens(content: dict[str, Any], size: int, parts: Parts) -> int:
    """Of a prompt, as far as can be said: their ids where they are given, else an estimate."""
    counted = given(content) if "prompt" in content else 0
    return counted or estimate(size, parts)


def given(content: dict[str, Any]) -> int:
    """Tokens of a prompt that is given as their ids, or of several such; 0 where it is a text."""
    prompt = content.get("prompt")
    if not isinstance(prompt, list) or not prompt:
        return 0
    if isinstance(prompt[0], int):
        return len(prompt)
    return sum(len(each) for each in prompt) if all(isinstance(each, list) for each in prompt) else 0


def must_fit(content: dict[str, Any], context: int, chars_per_token: int) -> None:
    """Refuse a prompt that cannot fit the model's context, before an engine tokenises megabytes to say the same.

    What does fit is never refused, so only what surely becomes tokens counts, at the most that a token can hold:

    - the texts of `prompt`, each by itself, of `input`, and of messages of a user. Templates leave out others: the
      thoughts of earlier answers, instructions of a system, tools.
    - without blanks and line ends, which templates cut off at both ends, and of which one token holds many.
    - ``chars_per_token`` of them for each token of ``context``. A token holds as many characters at most as it has
      bytes; the longest of a vocabulary of 150,000 (Mistral's tekken, which is made like those of Llama 3 and Qwen)
      has 78. The default is three times that, which a normaliser that composes accents does not reach either.
    - nothing where the engine cuts the prompt itself, or the request brings a template of its own.

    Files in a prompt (images and the like) are no text and do not count. A template that leaves out a user's earlier
    messages, or a vocabulary with longer tokens, needs ``limits.requests.chars_per_token`` higher, or 0.

    Raises:
        BadRequest
    """
    most = context * chars_per_token
    if not most or content.get("truncate_prompt_tokens") is not None or content.get("chat_template"):
        return
    if content.get("truncation") not in (None, "disabled"):
        return
    prompt = content.get("prompt")
    for text in prompt if isinstance(prompt, list) else (prompt,):
        if isinstance(text, str):
            _count("prompt", [text], context, most)
    for name in ("messages", "input"):
        _count(name, list(_texts(content.get(name))), context, most)


def _count(name: str, texts: list[str], context: int, most: int) -> None:
    if sum(map(len, texts)) <= most:  # nearly always
        return
    count = 0
    for text in texts:
        for start in range(0, len(text), _SLICE):  # ten megabytes of blanks take 18 ms, of anything else 2
            piece = text[start : start + _SLICE]
            count += len(piece) - sum(map(piece.count, _BLANKS))
            if count > most:
                raise BadRequest(
                    f"'{name}' has more than {most} characters besides blanks, and the model's context of {context} "
                    "tokens cannot hold them (limits.requests.chars_per_token)",
                    param=name,
                )


def _texts(messages: Any) -> Iterator[str]:
    """Of a user, or of nobody."""
    if isinstance(messages, str):
        yield messages
    for message in messages if isinstance(messages, list) else ():
        if not isinstance(message, dict) or message.get("role") != "user":
            continue
        content = message.get("content")
        if isinstance(content, str):
            yield content
        for part in content if isinstance(content, list) else ():
            if isinstance(part, dict) and part.get("type") in ("text", "input_text"):
                text = part.get("text")
                if isinstance(text, str):
                    yield text
