"""Ollama's API: translates requests to OpenAI's API, and answers back."""

from __future__ import annotations

from functools import partial
from typing import Any

import orjson

from gateway.bodies import abilities, bounds, constraints, key_bounds, pictures, prompt
from gateway.bodies.parts import Parts
from gateway.config.rules import CurrentRules, Rules
from gateway.config.settings import EngineSettings
from gateway.core.call import Call
from gateway.core.errors import BadRequest, GatewayError, UnknownModel
from gateway.dialects import ollama_answer
from gateway.dialects import ollama_request as ask
from gateway.dialects.base import Models
from gateway.dialects.fields import read_flag, read_list, read_object, read_stream, read_text
from gateway.dialects.ollama_answer import Answer, Embeddings, Shape, chat_shape, generate_shape
from gateway.dialects.ollama_models import resolve
from gateway.dialects.openai import ABORTED, COMPLETIONS, DONE_EVENT, ERROR_EVENT_START, engine_message
from gateway.engines import prefix_affinity
from gateway.http.messages import Request

Json = dict[str, Any]

# What Ollama's clients call what is sent on.
_CALLED = {"response_format": "format"}
_NOT_GENERATED = {
    "suffix": "vLLM does not fill in the middle; send the model's own tokens for it with 'raw'",
    "template": "the engine uses the model's own; send a whole prompt with 'raw'",
    "context": "no conversation is stored here; send it with /api/chat",
}


class Ollama:
    """What its paths have in common."""

    name = "Ollama"

    def __init__(self, models: Models, rules: CurrentRules = Rules) -> None:
        self.models = models
        self.rules = rules

    def read(self, request: Request) -> Call:
        raise NotImplementedError

    def error(self, error: GatewayError) -> bytes:
        # Clients look for these words to tell a model that is missing from a path that is.
        missing = "model not found: " if isinstance(error, UnknownModel) else ""
        return orjson.dumps({"error": missing + error.message})

    def error_event(self, error: GatewayError) -> bytes:
        return self.error(error) + b"\n"

    def refusal(self, status: int, body: bytes) -> bytes:
        return orjson.dumps({"error": engine_message(status, body)})

    def ended(self, tail: bytes) -> bool:
        return tail.endswith(DONE_EVENT)

    def failed(self, events: bytes) -> bool:
        return ABORTED in events or ERROR_EVENT_START in events

    def model_of(self, content: Json) -> tuple[str, str, EngineSettings | None]:
        """The name that the client used, the one that it has here, and an engine of it."""
        asked = read_text(content, "model") or read_text(content, "name")
        if not asked:
            raise BadRequest("'model' is missing; GET /api/tags lists what can be asked for", param="model")
        known = self.models()
        model = resolve(self.rules().resolve(resolve(asked, known), known), known)
        return asked, model, self.models().get(model)

    def _written(self, request: Request, content: Json, body: Json, path: bytes, shape: Shape) -> Call:
        """A call whose answer is text. ``body``: OpenAI's, still without model and sampling."""
        asked, model, engine = self.model_of(content)
        context = engine.max_model_len if engine is not None else None
        stream = read_stream(content, default=True)
        if content.get("think") not in (None, False) and engine is not None and not engine.can("thinking"):
            raise BadRequest(f"'{asked}' does not support thinking", param="think")
        body |= abilities.tools(body, engine, abilities.NO_TOOLS)
        body = {"model": model, **body, "stream": stream, **ask.sampling(content, context), **ask.wishes(content)}
        if stream:
            body["stream_options"] = {"include_usage": True}
        rules = self.rules()
        bounds.check(body, context, rules.limits)
        parts = Parts(body)
        bounds.check_parts(parts, rules.limits)
        if parts.files:
            pictures.check(parts, model, self.models().get(model), rules.limits)
        structured = constraints.check(body, rules.limits, _CALLED)
        if context is not None:
            prompt.must_fit(body, context, rules.limits.chars_per_token)
        # As Ollama does with what is too much, `num_predict` is lowered.
        length = key_bounds.COMPLETION if path == COMPLETIONS else key_bounds.CHAT
        body |= key_bounds.members(body, request.principal, length, clamp=True)
        body |= self._salt(request)
        sent = orjson.dumps(body)
        session = request.headers.get(b"x-session-id", b"")
        return Call(
            model,
            stream,
            path,
            sent,
            prompt_tokens=prompt.estimate(len(sent), parts),
            output_tokens=bounds.output_tokens(body),
            opening=partial(
                prefix_affinity.blocks, body, model, session, request.principal.name, body.get("cache_salt")
            ),
            session=session,
            translation=Answer(asked, shape),
            structured=structured,
            let_go=_lets_go(content),
        )

    def _salt(self, request: Request) -> Json:
        rules = self.rules()
        return {"cache_salt": rules.salt(request.principal.name)} if rules.by_key else {}

    def _loading(self, content: Json, shape: Shape) -> Call:
        asked, model, _ = self.model_of(content)
        go = _lets_go(content)
        ready = ollama_answer.loaded(asked, shape, "unload" if go else "load")
        return Call(model, False, b"", b"", output_tokens=0, ready=ready, loads=not go, let_go=go)


class OllamaChat(Ollama):
    """/api/chat"""

    def read(self, request: Request) -> Call:
        content = read_object(request.body)
        messages = ask.messages(content)
        if not messages:
            return self._loading(content, chat_shape)
        body: Json = {"messages": messages}
        if tools := read_list(content, "tools"):
            body["tools"] = tools
        return self._written(request, content, body, b"/v1/chat/completions", chat_shape)


class Generate(Ollama):
    """/api/generate"""

    def read(self, request: Request) -> Call:
        content = read_object(request.body, '{"model": ..., "prompt": ...}')
        ask.refuse(content, _NOT_GENERATED)
        text = read_text(content, "prompt")
        if not text and not content.get("images"):
            return self._loading(content, generate_shape)
        if not read_flag(content, "raw"):
            body: Json = {"messages": ask.prompt_messages(content)}
            return self._written(request, content, body, b"/v1/chat/completions", generate_shape)
        ask.refuse(content, dict.fromkeys(("system", "images", "think", "logprobs"), "'raw' sends the prompt as it is"))
        # Plain completions end after 16 tokens where nothing is said; what does not fit is left out by vLLM.
        _, _, engine = self.model_of(content)
        body = {"prompt": text, "add_special_tokens": False, "max_tokens": engine.max_model_len if engine else None}
        return self._written(request, content, body, COMPLETIONS, generate_shape)


class Embed(Ollama):
    """/api/embed, and its predecessor /api/embeddings. ``member``: where the texts stand."""

    def __init__(self, models: Models, member: str, rules: CurrentRules = Rules) -> None:
        super().__init__(models, rules)
        self._member = member
        self._several = member == "input"

    def read(self, request: Request) -> Call:
        content = read_object(request.body, '{"model": ..., "input": ...}')
        asked, model, _ = self.model_of(content)
        texts = self._texts(content)
        if not texts:
            empty: Json = {"model": asked, "embeddings": []} if self._several else {"embedding": []}
            return Call(model, False, b"", b"", output_tokens=0, ready=orjson.dumps(empty))
        body: Json = {"model": model, "input": texts, "encoding_format": "float"}
        if read_flag(content, "truncate", default=True):
            body["truncate_prompt_tokens"] = -1
        if (dimensions := bounds.read_integer(content, "dimensions")) is not None:
            body["dimensions"] = dimensions
        sent = orjson.dumps(body | self._salt(request))
        return Call(
            model,
            False,
            b"/v1/embeddings",
            sent,
            prompt_tokens=prompt.estimate(len(sent), Parts(body)),
            output_tokens=0,
            translation=Embeddings(asked, len(texts), self._several),
            let_go=_lets_go(content),
        )

    def _texts(self, content: Json) -> list[str]:
        texts = content.get(self._member)
        if isinstance(texts, str) or texts is None:
            return [texts] if texts else []
        if not self._several or not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise BadRequest("invalid input type: a text or a list of texts is needed", param=self._member)
        if len(texts) > bounds.MAX_TEXTS:
            raise BadRequest(f"'{self._member}' has {len(texts)} texts; at most {bounds.MAX_TEXTS}", param=self._member)
        return texts


def _lets_go(content: Json) -> bool:
    """Ollama's way to say that a model is not needed any more; any other `keep_alive` means nothing here."""
    return content.get("keep_alive") in (0, "0", "0s")
