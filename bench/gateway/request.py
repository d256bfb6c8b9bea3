"""The one request that every gateway gets, byte for byte."""

from __future__ import annotations

import orjson

KEY = "bench-key-0123456789"
MODEL = "tiny"
BODY_BYTES = 1024


def request_bytes(tokens: int, stream: bool) -> bytes:
    """A chat completion of ``tokens`` tokens; the body has 1 kB."""
    body = _body(tokens, stream, "")
    body = _body(tokens, stream, ("How do I keep the batch full? " * 40)[: BODY_BYTES - len(body)])
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _body(tokens: int, stream: bool, content: str) -> bytes:
    message = {"role": "user", "content": content}
    return orjson.dumps({"model": MODEL, "stream": stream, "max_tokens": tokens, "messages": [message]})
