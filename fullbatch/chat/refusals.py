"""What a server says instead of an answer, as one line that says what would be right. Pure."""

from __future__ import annotations

import json
import re

from fullbatch.chat.cleaning import one_line
from fullbatch.core.errors import FullbatchError, StateError, UsageError

# vLLM's words, and those of the gateway, for more than the model can read.
_TOO_LONG = re.compile(
    r"maximum (?:context|model) length|max_model_len|the model's context of|context window", re.IGNORECASE
)


class NoAnswer(FullbatchError):
    """The server is there and gives none now: full, starting, broken."""


class ContextFull(UsageError):
    """Question and what was said before are more than the model reads."""


def refusal(status: int, body: str, retry_after: str, key: str) -> FullbatchError:
    """`key`: the one that was sent, in words; `retry_after`: the header, empty without one."""
    said = message(body) or f"status {status}"
    again = f"; try again in {retry_after} s" if retry_after.isdecimal() else ""
    if status == 401:
        return UsageError(f"{key} is none of this server's; name a file with one: --key-file FILE")
    if status == 429:
        return NoAnswer(f"too much is asked of it now: {said}{again}")
    if status == 503:
        return NoAnswer(f"not ready: {said}{again}")
    if status == 400 and _TOO_LONG.search(said):
        return ContextFull(f"more than the model's context holds: {said.partition(' (parameter=')[0]}")
    if status in (400, 403, 404, 413):
        return UsageError(f"refused: {said}")
    return NoAnswer(f"no answer (status {status}): {said}")


def silent(url: str, why: object) -> FullbatchError:
    """Nothing listens there, or nothing comes any more."""
    said = getattr(why, "strerror", None) or str(why) or type(why).__name__
    return StateError(f"nothing answers at {url}: {one_line(said)}")


def message(body: str) -> str:
    """What an error's body says, in any of the three APIs' shapes; empty where it is none of them."""
    try:
        error = json.loads(body).get("error")
    except (ValueError, AttributeError):
        return one_line(body)
    said = error.get("message") if isinstance(error, dict) else error
    return one_line(said) if isinstance(said, str) else ""
