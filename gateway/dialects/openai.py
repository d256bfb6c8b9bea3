"""OpenAI's API: bodies pass as they are, but for the usage that the gateway has to know."""

from __future__ import annotations

from typing import Any

import orjson

from gateway import affinity
from gateway.call import BYTES_PER_TOKEN, Call
from gateway.errors import BadRequest, GatewayError
from gateway.http1 import Request

DONE_EVENT = b"data: [DONE]\n\n"
_ASK_USAGE = b',"stream_options":{"include_usage":true}}'


class OpenAI:
    """Chat completions, completions, embeddings."""

    def read(self, request: Request) -> Call:
        content = read_object(request.body)
        stream = read_stream(content)
        body, hides_usage = _with_usage(request.body, content) if stream else (request.body, False)
        model = read_model(content)
        session = request.headers.get(b"x-session-id", b"")
        return Call(
            model,
            stream,
            request.path,
            body,
            hides_usage,
            prompt_tokens=len(request.body) // BYTES_PER_TOKEN,
            output_tokens=_output_tokens(content),
            affinity=affinity.blocks(content, model, session, request.principal.name),
            session=session,
        )

    def error(self, error: GatewayError) -> bytes:
        return error.body()

    def error_event(self, error: GatewayError) -> bytes:
        return error.event()

    def ended(self, tail: bytes) -> bool:
        return tail.endswith(DONE_EVENT)


def read_object(body: bytes | bytearray) -> dict[str, Any]:
    """A JSON object.

    Raises:
        BadRequest: not JSON, or something else than an object.
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest(
            f"the body is not valid JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        ) from None
    if not isinstance(content, dict):
        raise BadRequest('the body must be a JSON object like {"model": ..., "messages": [...]}')
    return content


def read_model(content: dict[str, Any]) -> str:
    model = content.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest(
            "'model' is missing or not a string; GET /v1/models lists what can be asked for", param="model"
        )
    return model


def read_stream(content: dict[str, Any], default: bool = False) -> bool:
    stream = content.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise BadRequest("'stream' must be true or false", param="stream")
    return default if stream is None else stream


def _output_tokens(content: dict[str, Any]) -> int | None:
    """What the request bounds its answer to, over all of its choices; None if it does not, or not sensibly."""
    for name in ("max_completion_tokens", "max_tokens"):
        limit = content.get(name)
        if isinstance(limit, int) and not isinstance(limit, bool) and limit > 0:
            choices = content.get("n")
            return limit * (choices if isinstance(choices, int) and choices > 0 else 1)
    return None


def _with_usage(body: bytes | bytearray, content: dict[str, Any]) -> tuple[bytes | bytearray, bool]:
    """Have the engine say at the stream's end what it cost; True if the client had not asked for that itself."""
    options = content.get("stream_options")
    if isinstance(options, dict) and options.get("include_usage") is True:
        return body, False
    if options is None and "stream_options" not in content:
        # Nearly always: the text is left alone, and one member is put before its closing brace.
        return b"".join((body[: body.rindex(b"}")], _ASK_USAGE)), True
    if options is not None and not isinstance(options, dict):
        raise BadRequest("'stream_options' must be an object", param="stream_options")
    asked: dict[str, object] = (options or {}) | {"include_usage": True}
    if "continuous_usage_stats" in asked:  # of no effect without include_usage, so the client does not expect them
        asked["continuous_usage_stats"] = False
    return orjson.dumps(content | {"stream_options": asked}), True
