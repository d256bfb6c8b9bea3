"""Anthropic's Messages API: vLLM speaks it; only errors are translated."""

from __future__ import annotations

from typing import Any

import orjson

from gateway.bodies import abilities, key_bounds
from gateway.config.settings import EngineSettings
from gateway.core.call import Call
from gateway.core.errors import GatewayError
from gateway.dialects.fields import read_object, read_stream
from gateway.dialects.openai import OpenAI, engine_message
from gateway.http.messages import Request

# https://docs.claude.com/en/api/errors; the SDK chooses its exception by the status.
_KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    502: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
}
_STOP_EVENT = b'data: {"type":"message_stop"}\n\n'
_ERROR_EVENT_START = b"event: error\n"
# vLLM has no word for an aborted answer here: it leaves the reason out.
_ABORTED = b'"delta":{"stop_reason":null'


class Anthropic(OpenAI):
    """Messages."""

    name = "Anthropic"
    length: key_bounds.Length | None = key_bounds.MESSAGE
    fitted = frozenset(("tools", "thinking"))

    def read(self, request: Request) -> Call:
        content = read_object(request.body)
        return self._call(request, content, read_stream(content), request.body)

    def _fitted(self, request: Request, content: dict[str, Any], engine: EngineSettings | None) -> dict[str, Any]:
        found = super()._fitted(request, content, engine)
        if engine is not None and self.rules().limits.clamp_max_tokens:
            most = request.principal.max_output_tokens
            found |= abilities.budget(
                content, engine.max_model_len if most is None else min(most, engine.max_model_len)
            )
        return found | abilities.thinking(content, engine)

    def error(self, error: GatewayError) -> bytes:
        return _body(error.status, error.message)

    def error_event(self, error: GatewayError) -> bytes:
        return _ERROR_EVENT_START + b"data: " + self.error(error) + b"\n\n"

    def refusal(self, status: int, body: bytes) -> bytes:
        return _body(status, engine_message(status, body))

    def ended(self, tail: bytes) -> bool:
        return tail.endswith(_STOP_EVENT) or _ERROR_EVENT_START in tail

    def failed(self, events: bytes) -> bool:
        return _ERROR_EVENT_START in events or _ABORTED in events


class CountTokens(Anthropic):
    """Counting a prompt's tokens: no step of the model, so nothing is billed."""

    cached = False
    length: key_bounds.Length | None = None

    def read(self, request: Request) -> Call:
        call = self._call(request, read_object(request.body), False, request.body)
        call.output_tokens = call.prompt_tokens = 0
        return call


def _body(status: int, message: str) -> bytes:
    kind = _KINDS.get(status, "invalid_request_error")
    return orjson.dumps({"type": "error", "error": {"type": kind, "message": message}})
