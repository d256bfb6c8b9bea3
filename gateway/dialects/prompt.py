"""What can be said of a prompt before anybody has tokenised it."""

from __future__ import annotations

from typing import Any

from gateway.call import BYTES_PER_TOKEN

# What an image costs a vision model, roughly; its base64 would count as a hundred times that.
IMAGE_TOKENS = 1000
_INLINE = b"base64"
# An image further down than this counts as text; only its estimate is wrong then.
_DEEP = 6


def estimate(body: bytes | bytearray, content: dict[str, Any]) -> int:
    """Tokens of the prompt, from the body's size; corrected when the engine has counted."""
    if _INLINE not in body:
        return len(body) // BYTES_PER_TOKEN
    images, size = _inline(content, _DEEP)
    return max(len(body) - size, 0) // BYTES_PER_TOKEN + images * IMAGE_TOKENS


def _inline(value: Any, depth: int) -> tuple[int, int]:
    """How many files are given inside the body, and their bytes."""
    if isinstance(value, str):
        head = value[:128]
        return (1, len(value)) if head.startswith("data:") and ";base64," in head else (0, 0)
    if isinstance(value, dict) and value.get("type") == "base64" and isinstance(value.get("data"), str):
        return 1, len(value["data"])  # Anthropic's
    if depth == 0 or not isinstance(value, list | dict):
        return 0, 0
    found = [_inline(each, depth - 1) for each in (value.values() if isinstance(value, dict) else value)]
    return sum(count for count, _ in found), sum(size for _, size in found)
