"""The JSON that vLLM 0.32 writes, byte for byte in its field order where a client could see it."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

FINGERPRINT = "vllm-0.32.0-0123abcd"
DONE = b"data: [DONE]\n\n"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Ask:
    """What a completion request asks for."""

    chat: bool
    stream: bool
    include_usage: bool
    prompt_tokens: int
    max_new: int
    answer: str = "text"
    # What is called, where a function is called, and whether an answer in words ends by itself.
    tool: str = "get_weather"
    arguments: str = '{"city": "Tokyo"}'
    ends: bool = False


class Shape(Protocol):
    """One answer as one API writes it."""

    def opening(self) -> bytes: ...

    def token(self, number: int, last: bool) -> bytes: ...

    def closing(self, generated: int) -> bytes: ...

    def end(self, generated: int) -> bytes: ...

    def failure(self) -> bytes: ...

    def whole(self, generated: int) -> bytes: ...


class Answer:
    """One answer's events and bodies. ``word`` is the text of every token."""

    def __init__(self, ask: Ask, model: str, word: str) -> None:
        self._ask = ask
        self._word = word
        kind = "chat.completion" if ask.chat else "text_completion"
        self.id = f"{'chatcmpl' if ask.chat else 'cmpl'}-{next(_numbers):032x}"
        event_kind = "chat.completion.chunk" if ask.chat else kind
        created = int(time.time())
        self._body_head: dict[str, Any] = {"id": self.id, "object": kind, "created": created, "model": model}
        self._event_head: dict[str, Any] = self._body_head | {"object": event_kind}
        self._token = self._event(self._choice({"content": word}, word))
        # In a stream the last event has it, in which vLLM tells the usage where it is asked to.
        self._mark = {} if ask.include_usage else {"system_fingerprint": FINGERPRINT}
        last = {"finish_reason": self._reason(), "stop_reason": None}
        self._last = self._event(self._choice({"content": word}, word) | last, self._mark)

    def opening(self) -> bytes:
        """The role event that precedes a chat's first token; nothing for plain completions."""
        return self._event(self._choice({"role": "assistant", "content": ""}, "")) if self._ask.chat else b""

    def token(self, number: int, last: bool) -> bytes:
        """``number`` counts from 1."""
        if not self._ask.chat or self._ask.answer == "text":
            return self._last if last else self._token
        delta: dict[str, Any] = {"content": self._word}
        if self._ask.answer == "reasoning" and number * 2 <= self._ask.max_new:
            delta = {"reasoning": self._word}
        elif self._ask.answer == "tools":
            delta = {"tool_calls": [tool_delta(self._ask, number, last)]}
        choice = self._choice(delta, self._word)
        if not last:
            return self._event(choice)
        return self._event(choice | {"finish_reason": self._reason(), "stop_reason": None}, self._mark)

    def closing(self, generated: int) -> bytes:
        """What comes between the last token and the end."""
        if not self._ask.include_usage:
            return b""
        body = self._event_head | {"choices": [], "usage": self._usage(generated), "system_fingerprint": FINGERPRINT}
        return b"data: " + orjson.dumps(body) + b"\n\n"

    def end(self, generated: int) -> bytes:  # noqa: ARG002
        return DONE

    def failure(self) -> bytes:
        """How a stream ends when EngineCore has died."""
        return b"data: " + error(500, "InternalServerError", "EngineCore encountered an issue.") + b"\n\n" + DONE

    def whole(self, generated: int) -> bytes:
        text = self._word * generated
        choice: dict[str, Any] = {"index": 0}
        if self._ask.chat:
            choice["message"] = {"role": "assistant", "content": text, "refusal": None} | self._extra(generated)
        else:
            choice["text"] = text
        choice |= {"logprobs": None, "finish_reason": self._reason(), "stop_reason": None}
        body = self._body_head | {"choices": [choice], "system_fingerprint": FINGERPRINT}
        return orjson.dumps(body | {"usage": self._usage(generated)})

    def _reason(self) -> str:
        if self._ask.answer == "tools":
            return "tool_calls"
        return "stop" if self._ask.ends else "length"

    def _extra(self, generated: int) -> dict[str, Any]:
        if self._ask.answer == "reasoning":
            thought = generated // 2
            return {"content": self._word * (generated - thought), "reasoning": self._word * thought}
        if self._ask.answer == "tools":
            call = {"name": self._ask.tool, "arguments": self._ask.arguments}
            named = {"id": f"chatcmpl-tool-{next(_numbers)}", "type": "function", "function": call}
            return {"content": None, "tool_calls": [named]}
        return {"reasoning": None}

    def _choice(self, delta: dict[str, Any], text: str) -> dict[str, Any]:
        what: dict[str, Any] = {"delta": delta} if self._ask.chat else {"text": text}
        return {"index": 0} | what | {"logprobs": None, "finish_reason": None}

    def _event(self, choice: dict[str, Any], more: dict[str, Any] | None = None) -> bytes:
        return b"data: " + orjson.dumps(self._event_head | {"choices": [choice]} | (more or {})) + b"\n\n"

    def _usage(self, generated: int) -> dict[str, int]:
        prompt = self._ask.prompt_tokens
        return {"prompt_tokens": prompt, "total_tokens": prompt + generated, "completion_tokens": generated}


def error(status: int, kind: str, message: str, param: str | None = None) -> bytes:
    return orjson.dumps({"error": {"message": message, "type": kind, "param": param, "code": status}})


def models(model: str, max_model_len: int) -> bytes:
    """``model``: one, or several with commas between."""
    shared = {"object": "model", "created": int(time.time()), "owned_by": "vllm", "parent": None, "permission": []}
    shared["max_model_len"] = max_model_len
    cards = [{"id": name, "root": name, **shared} for name in model.split(",")]
    return orjson.dumps({"object": "list", "data": cards})


def embedding(model: str, inputs: list[str]) -> bytes:
    data = [{"index": i, "object": "embedding", "embedding": [0.6, 0.8]} for i in range(len(inputs))]
    tokens = sum(count_tokens(text) for text in inputs)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens, "completion_tokens": 0, "prompt_tokens_details": None}
    head = {"id": f"embd-{next(_numbers):032x}", "object": "list", "created": int(time.time()), "model": model}
    return orjson.dumps(head | {"data": data, "usage": usage})


def tool_delta(ask: Ask, number: int, last: bool) -> dict[str, Any]:
    """vLLM sends name and id first, then the arguments as they come. JSON may have blanks after its first bracket."""
    first, rest = ask.arguments[:1], ask.arguments[1:]
    if number == 1:
        named = {"name": ask.tool, "arguments": ask.arguments if last else first}
        return {"id": f"chatcmpl-tool-{next(_numbers)}", "type": "function", "index": 0, "function": named}
    return {"index": 0, "function": {"arguments": rest if last else " "}}


def score(model: str, texts: list[str]) -> bytes:
    data = [{"index": i, "object": "score", "score": 0.5} for i in range(len(texts))]
    tokens = sum(count_tokens(text) for text in texts)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens, "completion_tokens": 0, "prompt_tokens_details": None}
    head = {"id": f"score-{next(_numbers):032x}", "object": "list", "created": int(time.time()), "model": model}
    return orjson.dumps(head | {"data": data, "usage": usage})


def count_tokens(text: str) -> int:
    """A stand-in for a tokenizer: one token for four characters, at least one."""
    return max(1, len(text) // 4)


def read_ask(body: dict[str, Any], path: str, default_tokens: int) -> Ask:
    """Read a request body as vLLM does.

    Raises:
        ValueError: what vLLM would answer with 400.
    """
    chat = path in ("/v1/chat/completions", "/v1/messages")
    if path == "/v1/responses":
        if not isinstance(body.get("input"), str | list):
            raise ValueError("Field required: input")
        prompt = str(body["input"])
    elif chat:
        messages = body.get("messages")
        if not isinstance(messages, list) or not all(isinstance(m, dict) for m in messages):
            raise ValueError("Field required: messages")
        prompt = "".join(str(message.get("content", "")) for message in messages)
    elif isinstance(body.get("prompt"), list) and all(isinstance(token, int) for token in body["prompt"]):
        prompt = "tokn" * len(body["prompt"])  # given as the ids of its tokens
    else:
        prompt = str(body.get("prompt", ""))
    limits = (body.get(name) for name in ("max_completion_tokens", "max_tokens", "max_output_tokens"))
    asked = next((limit for limit in limits if limit), default_tokens)
    if not isinstance(asked, int) or asked < 1:
        raise ValueError(f"max_tokens must be at least 1, got {asked}")
    options = body.get("stream_options") or {}
    include_usage = isinstance(options, dict) and bool(options.get("include_usage"))
    return Ask(chat, bool(body.get("stream")), include_usage, count_tokens(prompt), asked)
