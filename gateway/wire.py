"""The few OpenAI fields the gateway reads, and the framing of server-sent events. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from gateway.errors import BadRequest

DONE_EVENT = b"data: [DONE]\n\n"
ERROR_EVENT_START = b'data: {"error"'
ABORTED = b'"finish_reason":"abort"'
EVENT_END = b"\n\n"


@dataclass(frozen=True, slots=True)
class Ask:
    """What the gateway needs to know about a request; everything else passes through untouched."""

    model: str
    stream: bool


def read(body: bytes | bytearray) -> Ask:
    """Read `model` and `stream` from a JSON body.

    Raises:
        BadRequest: not a JSON object, or one of the two has the wrong type; `param` names the field.
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest(
            f"the body is not valid JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        ) from None
    if not isinstance(content, dict):
        raise BadRequest('the body must be a JSON object like {"model": ..., "messages": [...]}')
    model = content.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest(
            "'model' is missing or not a string; GET /v1/models lists what can be asked for", param="model"
        )
    stream = content.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise BadRequest("'stream' must be true or false", param="stream")
    return Ask(model, bool(stream))


def whole_events(data: bytes) -> int:
    """How many bytes from the start of ``data`` are complete events (0: none yet)."""
    return data.rfind(EVENT_END) + len(EVENT_END) if EVENT_END in data else 0
