"""OpenAI's API: bodies pass unchanged, except that the gateway asks for usage."""

from __future__ import annotations

from functools import partial
from typing import Any

import orjson

from gateway.bodies import abilities, bounds, constraints, key_bounds, pictures, prompt
from gateway.bodies.parts import Parts
from gateway.config.rules import CurrentRules, Rules
from gateway.config.settings import EngineSettings
from gateway.core.call import Call
from gateway.core.errors import BadRequest, GatewayError, NotServed
from gateway.dialects.base import Models
from gateway.dialects.fields import read_model, read_object, read_stream
from gateway.dialects.rewrite import with_members
from gateway.engines import prefix_affinity
from gateway.http.messages import Request

COMPLETIONS = b"/v1/completions"
DONE_EVENT = b"data: [DONE]\n\n"
ERROR_EVENT_START = b'data: {"error"'
ABORTED = b'"finish_reason":"abort"'
_ASK_USAGE = b',"stream_options":{"include_usage":true}}'
# FastAPI's own answers in front of vLLM, for a path that this model's engine lacks or a body that it cannot read.
_FASTAPI = b'{"detail":'
_WORDLESS = "the engine refused this request"
# vLLM writes an event's type last, and the response with its usage before it.
_RESPONSE_ENDS = tuple(
    b'"type":%b"response.%b"}\n\n' % (blank, kind)
    for kind in (b"completed", b"incomplete", b"failed")
    for blank in (b"", b" ")
)


class OpenAI:
    """Chat completions, completions, embeddings, and what else is asked with a model and one object."""

    name = "OpenAI"
    cached = True  # an engine keeps prefixes of what is asked, and takes `cache_salt`
    length: key_bounds.Length | None = key_bounds.CHAT  # None: what comes out is no text
    fitted = frozenset(("tools",))  # members that ask for what a model may not be able to do
    no_tools: dict[str, Any] | None = abilities.NO_TOOLS  # None: this API knows none

    def __init__(self, models: Models, rules: CurrentRules = Rules) -> None:
        self.models = models
        self.rules = rules

    def read(self, request: Request) -> Call:
        content = read_object(request.body)
        stream = read_stream(content)
        body, hides_usage = _with_usage(request.body, content) if stream else (request.body, False)
        return self._call(request, content, stream, body, hides_usage)

    def error(self, error: GatewayError) -> bytes:
        return error.body()

    def error_event(self, error: GatewayError) -> bytes:
        return error.event()

    def refusal(self, status: int, body: bytes) -> bytes:
        if not body.startswith(_FASTAPI):
            return body
        refused = NotServed if status == 404 else BadRequest
        return self.error(refused(engine_message(status, body)))

    def ended(self, tail: bytes) -> bool:
        return tail.endswith(DONE_EVENT)

    def failed(self, events: bytes) -> bool:
        return ABORTED in events or ERROR_EVENT_START in events

    def _fitted(self, request: Request, content: dict[str, Any], engine: EngineSettings | None) -> dict[str, Any]:
        """What is said instead of what the model cannot do, where that is not refused."""
        found: dict[str, Any] = {}
        if self.no_tools is not None and "tools" in content and request.path != COMPLETIONS:
            found |= abilities.tools(content, engine, self.no_tools)
        if engine is not None and self.rules().limits.clamp_max_tokens:
            found |= bounds.clamped(content, engine.max_model_len)
        return found

    def _call(
        self,
        request: Request,
        content: dict[str, Any],
        stream: bool,
        body: bytes | bytearray,
        hides_usage: bool = False,
    ) -> Call:
        rules, models = self.rules(), self.models()
        limits = rules.limits
        asked = read_model(content)
        model = asked if asked in models else rules.resolve(asked, models)
        engine = models.get(model)
        context = engine.max_model_len if engine is not None else None
        members: dict[str, Any] = {"model": model} if model != asked else {}
        if limits.clamp_max_tokens or not self.fitted.isdisjoint(content):
            content |= (fitted := self._fitted(request, content, engine))
            members |= fitted
        bounds.check(content, context, limits)
        parts = Parts(content)
        bounds.check_parts(parts, limits)
        if parts.files:
            pictures.check(parts, model, engine, limits)
        structured = constraints.check(content, limits)
        if self.length is not None:
            # A body has at least as many bytes as its texts have characters.
            if context is not None and len(request.body) > context * limits.chars_per_token:
                prompt.must_fit(content, context, limits.chars_per_token)
            if request.principal.max_output_tokens is not None:
                length = key_bounds.COMPLETION if request.path == COMPLETIONS else self.length
                kept = key_bounds.members(content, request.principal, length, limits.clamp_max_tokens)
                members |= kept
                content |= kept
        salt = content.get("cache_salt")
        if rules.by_key and self.cached:
            members["cache_salt"] = salt = rules.salt(request.principal.name, salt)
        body = with_members(body, members) if members else body
        session = request.headers.get(b"x-session-id", b"")
        return Call(
            model,
            stream,
            request.path,
            body,
            hides_usage,
            prompt_tokens=prompt.tokens(content, len(request.body), parts),
            output_tokens=bounds.output_tokens(content),
            opening=partial(prefix_affinity.blocks, content, model, session, request.principal.name, salt),
            session=session,
            structured=structured,
        )


class Texts(OpenAI):
    """Embeddings, scores, classes: texts go in and no token comes out."""

    length: key_bounds.Length | None = None
    no_tools: dict[str, Any] | None = None

    def read(self, request: Request) -> Call:
        content = read_object(request.body, '{"model": ..., "input": ...}')
        texts = content.get("input")
        if isinstance(texts, list) and len(texts) > bounds.MAX_TEXTS and not isinstance(texts[0], int):
            raise BadRequest(f"'input' has {len(texts)} texts; at most {bounds.MAX_TEXTS}", param="input")
        call = self._call(request, content, False, request.body)
        call.output_tokens = 0
        return call


class Tokenizer(OpenAI):
    """What an engine answers without a model's step: nothing of it is billed."""

    cached = False
    length: key_bounds.Length | None = None
    no_tools: dict[str, Any] | None = None

    def read(self, request: Request) -> Call:
        call = self._call(request, read_object(request.body), False, request.body)
        call.output_tokens = call.prompt_tokens = 0
        return call


class Responses(OpenAI):
    """The Responses API, without what needs a store: an engine keeps no responses."""

    length: key_bounds.Length | None = key_bounds.RESPONSE
    no_tools: dict[str, Any] | None = abilities.NO_RESPONSE_TOOLS

    def read(self, request: Request) -> Call:
        content = read_object(request.body, '{"model": ..., "input": ...}')
        for name in ("previous_response_id", "background", "conversation"):
            if content.get(name):
                raise BadRequest(f"'{name}' is not served: no responses are stored here", param=name)
        call = self._call(request, content, read_stream(content), request.body)
        call.usage_ends = _RESPONSE_ENDS
        return call

    def error_event(self, error: GatewayError) -> bytes:
        body = {"type": "error", "code": error.code, "message": error.message, "param": error.param}
        return b"event: error\ndata: " + orjson.dumps(body | {"sequence_number": 0}) + b"\n\n"

    def ended(self, tail: bytes) -> bool:
        return tail.endswith(_RESPONSE_ENDS) or self.failed(tail)

    def failed(self, events: bytes) -> bool:
        return b"event: error\n" in events or b"event: response.failed\n" in events


def engine_message(status: int, body: bytes) -> str:
    """What an engine's refusal says, in whichever shape."""
    if status == 404 and body.startswith(_FASTAPI):
        return "the engine of this model does not serve this API"
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _WORDLESS
    error = content.get("error", content) if isinstance(content, dict) else None
    message = error.get("message", error.get("detail")) if isinstance(error, dict) else error
    return message if isinstance(message, str) and message else _WORDLESS


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
    wanted = (options or {}) | {"include_usage": True, "continuous_usage_stats": False}
    return orjson.dumps(content | {"stream_options": wanted}), True
