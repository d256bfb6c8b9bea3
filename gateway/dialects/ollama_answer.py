"""Translates an engine's answer into Ollama's: one JSON object a line, the last with counts and times."""

from __future__ import annotations

import re
import time
from typing import Any, Protocol

import orjson

NDJSON = b"application/x-ndjson"
_DATA = b"data: "
_DONE = b"[DONE]"
_REASONS = {"length": "length"}
_VECTOR = re.compile(rb'"embedding"\s*:\s*(\[[^]]*\])')
_PROMPT_TOKENS = re.compile(rb'"prompt_tokens"\s*:\s*(\d{1,15})')

Json = dict[str, Any]


class Shape(Protocol):
    """How one of the paths writes what it was given. Empty strings and lists were not given."""

    def __call__(self, text: str, thinking: str = "", calls: list[Json] | None = None) -> Json: ...


def chat_shape(text: str, thinking: str = "", calls: list[Json] | None = None) -> Json:
    """/api/chat"""
    message: Json = {"role": "assistant", "content": text}
    if thinking:
        message["thinking"] = thinking
    if calls:
        message["tool_calls"] = calls
    return {"message": message}


def generate_shape(text: str, thinking: str = "", calls: list[Json] | None = None) -> Json:  # noqa: ARG001
    """/api/generate"""
    return {"response": text} | ({"thinking": thinking} if thinking else {})


def timestamp() -> str:
    """Now, as RFC 3339 with microseconds."""
    seconds, nanoseconds = divmod(time.time_ns(), 10**9)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{nanoseconds // 1000:06d}Z"


def loaded(model: str, shape: Shape, reason: str) -> bytes:
    """The answer to a request without a prompt, which only wants the model loaded, or unloaded."""
    return orjson.dumps({"model": model, "created_at": timestamp(), **shape(""), "done": True, "done_reason": reason})


class Times:
    """Durations in nanoseconds, as the gateway sees them: it waited, the engine read, the engine wrote."""

    def __init__(self) -> None:
        self._came = time.perf_counter_ns()
        self._sent = self._came
        self._first = 0

    def begin(self) -> None:
        self._sent = time.perf_counter_ns()

    def first(self) -> None:
        """Something of the answer has come."""
        if not self._first:
            self._first = time.perf_counter_ns()

    def durations(self) -> Json:
        """`load_duration` is the wait for a slot: no model is ever loaded for a request here."""
        now = time.perf_counter_ns()
        found = {"total_duration": now - self._came, "load_duration": self._sent - self._came}
        if self._first:
            found["prompt_eval_duration"] = self._first - self._sent
        return found | {"eval_duration": now - (self._first or self._sent)}


class Answer:
    """A chat's or a prompt's answer."""

    stream_type = NDJSON

    def __init__(self, model: str, shape: Shape) -> None:
        self._model = model
        self._shape = shape
        self._times = Times()
        self._usage: Json = {}
        self._reason = "stop"
        self._calls: dict[int, Json] = {}
        self._failed = False

    def begin(self) -> None:
        self._times.begin()

    def stream(self, events: bytes) -> bytes:
        lines = bytearray()
        for event in events.split(b"\n\n"):
            data = event.removeprefix(_DATA)
            if not data or data is event or self._failed:
                continue
            if data == _DONE:
                lines += self._line(self._final(""))
            else:
                lines += self._event(orjson.loads(data))
        return bytes(lines)

    def whole(self, body: bytes) -> bytes:
        content = orjson.loads(body)
        self._usage = content.get("usage") or {}
        choice = content["choices"][0]
        self._reason = choice.get("finish_reason") or "stop"
        if self._reason == "abort":
            return orjson.dumps({"error": "the engine broke off the answer"})
        message = choice.get("message") or {"content": choice.get("text")}
        calls = [found for call in message.get("tool_calls") or () if (found := _call(call["id"], call["function"]))]
        made = self._shape(message.get("content") or "", message.get("reasoning") or "", calls)
        return orjson.dumps(self._head() | made | _logprobs(choice) | self._tail())

    def _event(self, event: Json) -> bytes:
        if (error := event.get("error")) is not None:
            self._failed = True
            return self._line({"error": error.get("message", "") if isinstance(error, dict) else str(error)})
        self._times.first()
        self._usage = event.get("usage") or self._usage
        if not event["choices"]:
            return b""
        choice = event["choices"][0]
        self._reason = choice.get("finish_reason") or self._reason
        if self._reason == "abort":
            self._failed = True
            return self._line({"error": "the engine broke off the answer"})
        delta = choice.get("delta") or {"content": choice.get("text")}
        for piece in delta.get("tool_calls") or ():
            self._gather(piece)
        text, thinking = delta.get("content") or "", delta.get("reasoning") or ""
        if not text and not thinking:
            return b""
        return self._line(self._head() | self._shape(text, thinking) | _logprobs(choice) | {"done": False})

    def _gather(self, piece: Json) -> None:
        """A call comes in pieces here, and whole there."""
        call = self._calls.setdefault(piece["index"], {"id": "", "name": "", "arguments": ""})
        function = piece.get("function") or {}
        call["id"] = piece.get("id") or call["id"]
        call["name"] = function.get("name") or call["name"]
        call["arguments"] += function.get("arguments") or ""

    def _final(self, text: str) -> Json:
        """The last line; calls stand in one of their own before it."""
        return self._head() | self._shape(text) | self._tail()

    def _head(self) -> Json:
        return {"model": self._model, "created_at": timestamp()}

    def _tail(self) -> Json:
        counts = {
            "prompt_eval_count": self._usage.get("prompt_tokens", 0),
            "eval_count": self._usage.get("completion_tokens", 0),
        }
        return {"done": True, "done_reason": _REASONS.get(self._reason, "stop"), **self._times.durations(), **counts}

    def _line(self, content: Json) -> bytes:
        if content.get("done") and self._calls:
            calls = [found for call in self._calls.values() if (found := _call(call["id"], call))]
            before = self._head() | self._shape("", "", calls) | {"done": False}
            return orjson.dumps(before) + b"\n" + orjson.dumps(content) + b"\n"
        return orjson.dumps(content) + b"\n"


class Embeddings:
    """Vectors, as many as there were texts. ``several``: /api/embed; else /api/embeddings, which has one."""

    stream_type = NDJSON

    def __init__(self, model: str, texts: int, several: bool) -> None:
        self._model = model
        self._texts = texts
        self._several = several
        self._times = Times()

    def begin(self) -> None:
        self._times.begin()

    def stream(self, events: bytes) -> bytes:  # noqa: ARG002
        raise ValueError("vectors do not come as a stream")

    def whole(self, body: bytes) -> bytes:
        # Cut out as they are: a batch of vectors is megabytes of numbers, and to parse them would stop everybody.
        vectors: list[bytes] = _VECTOR.findall(body)
        if len(vectors) != self._texts:
            raise ValueError(f"{len(vectors)} vectors for {self._texts} texts")
        if not self._several:
            return b'{"embedding":' + vectors[0] + b"}"
        durations = self._times.durations()
        rest: Json = {"model": self._model}
        rest |= {name: durations[name] for name in ("total_duration", "load_duration")}
        if counts := _PROMPT_TOKENS.findall(body):
            rest["prompt_eval_count"] = int(counts[-1])
        return b'{"embeddings":[' + b",".join(vectors) + b"]," + orjson.dumps(rest)[1:]


def _call(identity: str, function: Json) -> Json | None:
    """A call with its arguments read; None if the answer ended within them."""
    try:
        arguments = orjson.loads(function["arguments"] or "{}")
    except orjson.JSONDecodeError:
        return None
    return {"id": identity, "function": {"name": function["name"], "arguments": arguments}}


def _logprobs(choice: Json) -> Json:
    tokens = (choice.get("logprobs") or {}).get("content")
    return {"logprobs": tokens} if tokens else {}
