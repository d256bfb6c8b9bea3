"""Anthropic's Messages and OpenAI's Responses as vLLM 0.32 writes them; recorded from the real one."""

from __future__ import annotations

import itertools
import time
from typing import Any

import orjson

from tests.fakes.engine.shapes import Ask

_numbers = itertools.count(1)


class Message:
    """/v1/messages. The prompt counts as cached but for its first token, to see the sums kept apart."""

    def __init__(self, ask: Ask, model: str, word: str) -> None:
        self._ask = ask
        self._word = word
        self._model = model
        self._id = f"chatcmpl-{next(_numbers):016x}"

    def opening(self) -> bytes:
        usage = {"input_tokens": self._ask.prompt_tokens, "output_tokens": 0}
        message = self._message([], None) | {"stop_sequence": None, "usage": usage}
        block = {"content_block": {"type": "text", "text": ""}, "index": 0}
        return _event("message_start", {"message": message}) + _event("content_block_start", block)

    def token(self, number: int, last: bool) -> bytes:  # noqa: ARG002
        delta = {"type": "text_delta", "text": self._word}
        return _event("content_block_delta", {"delta": delta, "index": 0})

    def closing(self, generated: int) -> bytes:
        delta = {"stop_reason": "max_tokens", "stop_sequence": None}
        stop = _event("content_block_stop", {"index": 0})
        return stop + _event("message_delta", {"delta": delta, "usage": self._usage(generated)})

    def end(self, generated: int) -> bytes:  # noqa: ARG002
        return _event("message_stop", {})

    def failure(self) -> bytes:
        return _event("error", {"error": {"type": "internal_error", "message": "EngineCore encountered an issue."}})

    def whole(self, generated: int) -> bytes:
        content = [{"type": "text", "text": self._word * generated}]
        return orjson.dumps(self._message(content, "max_tokens") | {"usage": self._usage(generated)})

    def _message(self, content: list[Any], reason: str | None) -> dict[str, Any]:
        head = {"id": self._id, "type": "message", "role": "assistant", "content": content, "model": self._model}
        return head | {"stop_reason": reason}

    def _usage(self, generated: int) -> dict[str, int]:
        cached = self._ask.prompt_tokens - 1
        usage = {"input_tokens": 1, "output_tokens": generated}
        return usage | {"cache_creation_input_tokens": 0, "cache_read_input_tokens": cached}


class Response:
    """/v1/responses."""

    def __init__(self, ask: Ask, model: str, word: str) -> None:
        self._ask = ask
        self._word = word
        self._sequence = itertools.count()
        self._item = {"id": f"msg_{next(_numbers):016x}", "content": [], "role": "assistant", "type": "message"}
        head: dict[str, Any] = {"id": f"resp_{next(_numbers):016x}", "created_at": int(time.time())}
        head |= {"incomplete_details": None, "instructions": None, "metadata": None, "model": model}
        head |= {"object": "response", "output": [], "parallel_tool_calls": True, "temperature": 1.0}
        # The client's tools come back, and one of them has what looks like a count.
        self._head = head | {"tool_choice": "auto", "tools": [{"parameters": {"usage": {"output_tokens": 1}}}]}

    def opening(self) -> bytes:
        begun = {"response": self._response("in_progress", None)}
        item = {"item": self._item | {"status": "in_progress"}, "output_index": 0}
        return (
            self._event("created", begun) + self._event("in_progress", begun) + self._event("output_item.added", item)
        )

    def token(self, number: int, last: bool) -> bytes:  # noqa: ARG002
        delta = {"content_index": 0, "delta": self._word, "item_id": self._item["id"], "logprobs": []}
        return self._event("output_text.delta", delta | {"output_index": 0})

    def closing(self, generated: int) -> bytes:
        return self._event("output_item.done", {"item": self._done(generated), "output_index": 0})

    def end(self, generated: int) -> bytes:
        return self._event("completed", {"response": self._completed(generated)})

    def failure(self) -> bytes:
        return b""

    def whole(self, generated: int) -> bytes:
        return orjson.dumps(self._completed(generated))

    def _completed(self, generated: int) -> dict[str, Any]:
        return self._response("incomplete", generated) | {"output": [self._done(generated)]}

    def _done(self, generated: int) -> dict[str, Any]:
        part: dict[str, Any] = {
            "annotations": [],
            "text": self._word * generated,
            "type": "output_text",
            "logprobs": None,
        }
        return self._item | {"content": [part], "status": "completed"}

    def _response(self, status: str, generated: int | None) -> dict[str, Any]:
        usage: dict[str, Any] | None = None
        if generated is not None:
            prompt = self._ask.prompt_tokens
            inputs = {"cached_tokens": prompt - 1, "cache_write_tokens": 0, "input_tokens_per_turn": []}
            outputs = {"reasoning_tokens": 0, "tool_output_tokens": 0, "output_tokens_per_turn": []}
            usage = {"input_tokens": prompt, "input_tokens_details": inputs, "output_tokens": generated}
            usage |= {"output_tokens_details": outputs, "total_tokens": prompt + generated}
        tail = {"background": False, "status": status, "truncation": "disabled", "usage": usage, "user": None}
        return self._head | {"top_p": 1.0, **tail, "input_messages": None, "output_messages": None}

    def _event(self, kind: str, body: dict[str, Any]) -> bytes:
        event = body | {"sequence_number": next(self._sequence), "type": f"response.{kind}"}
        return b"event: response." + kind.encode() + b"\ndata: " + orjson.dumps(event) + b"\n\n"


def _event(kind: str, body: dict[str, Any]) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + orjson.dumps({"type": kind} | body) + b"\n\n"
