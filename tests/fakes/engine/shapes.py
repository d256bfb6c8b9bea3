"""The JSON that vLLM 0.32 writes, byte for byte in its field order where a client could see it."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from typing import Any

import orjson

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
        last = {"finish_reason": "length", "stop_reason": None}
        self._last = self._event(self._choice({"content": word}, word) | last)

    def opening(self) -> bytes:
        """The role event that precedes a chat's first token; nothing for plain completions."""
        return self._event(self._choice({"role": "assistant", "content": ""}, "")) if self._ask.chat else b""

    def token(self, last: bool) -> bytes:
        return self._last if last else self._token

    def usage(self, generated: int) -> bytes:
        body = self._event_head | {"choices": [], "usage": self._usage(generated)}
        return b"data: " + orjson.dumps(body) + b"\n\n"

    def whole(self, generated: int) -> bytes:
        text = self._word * generated
        choice: dict[str, Any] = {"index": 0}
        if self._ask.chat:
            choice["message"] = {"role": "assistant", "content": text, "refusal": None, "tool_calls": []}
        else:
            choice["text"] = text
        choice |= {"logprobs": None, "finish_reason": "length", "stop_reason": None}
        return orjson.dumps(self._body_head | {"choices": [choice], "usage": self._usage(generated)})

    def _choice(self, delta: dict[str, str], text: str) -> dict[str, Any]:
        what: dict[str, Any] = {"delta": delta} if self._ask.chat else {"text": text}
        return {"index": 0} | what | {"logprobs": None, "finish_reason": None}

    def _event(self, choice: dict[str, Any]) -> bytes:
        return b"data: " + orjson.dumps(self._event_head | {"choices": [choice]}) + b"\n\n"

    def _usage(self, generated: int) -> dict[str, int]:
        prompt = self._ask.prompt_tokens
        return {"prompt_tokens": prompt, "total_tokens": prompt + generated, "completion_tokens": generated}


def error(status: int, kind: str, message: str, param: str | None = None) -> bytes:
    return orjson.dumps({"error": {"message": message, "type": kind, "param": param, "code": status}})


def models(model: str, max_model_len: int) -> bytes:
    card = {"id": model, "object": "model", "created": int(time.time()), "owned_by": "vllm", "root": model}
    card |= {"parent": None, "max_model_len": max_model_len, "permission": []}
    return orjson.dumps({"object": "list", "data": [card]})


def embedding(model: str, inputs: list[str]) -> bytes:
    data = [{"index": i, "object": "embedding", "embedding": [0.6, 0.8]} for i in range(len(inputs))]
    tokens = sum(count_tokens(text) for text in inputs)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens, "completion_tokens": 0, "prompt_tokens_details": None}
    head = {"id": f"embd-{next(_numbers):032x}", "object": "list", "created": int(time.time()), "model": model}
    return orjson.dumps(head | {"data": data, "usage": usage})


def count_tokens(text: str) -> int:
    """A stand-in for a tokenizer: one token for four characters, at least one."""
    return max(1, len(text) // 4)


def read_ask(body: dict[str, Any], chat: bool, default_tokens: int) -> Ask:
    """Read a request body as vLLM does.

    Raises:
        ValueError: what vLLM would answer with 400.
    """
    if chat:
        messages = body.get("messages")
        if not isinstance(messages, list) or not all(isinstance(m, dict) for m in messages):
            raise ValueError("Field required: messages")
        prompt = "".join(str(message.get("content", "")) for message in messages)
    else:
        prompt = str(body.get("prompt", ""))
    asked = body.get("max_completion_tokens") or body.get("max_tokens") or default_tokens
    if not isinstance(asked, int) or asked < 1:
        raise ValueError(f"max_tokens must be at least 1, got {asked}")
    options = body.get("stream_options") or {}
    include_usage = isinstance(options, dict) and bool(options.get("include_usage"))
    return Ask(chat, bool(body.get("stream")), include_usage, count_tokens(prompt), asked)
