"""What can be said of a prompt before anybody has tokenised it."""

from __future__ import annotations

from typing import Any

from gateway.call import BYTES_PER_TOKEN
from gateway.dialects.parts import Parts

# What an image costs a vision model, roughly; its base64 would count as a hundred times that.
IMAGE_TOKENS = 1000


def estimate(size: int, parts: Parts) -> int:
    """Tokens of the prompt, from the body's ``size`` in bytes; corrected when the engine has counted."""
    return max(size - parts.inline_bytes, 0) // BYTES_PER_TOKEN + parts.media * IMAGE_TOKENS


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
