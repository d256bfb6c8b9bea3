"""A server-sent event stream, from bytes to times: framing, meaning, and the clock readings of one answer.

Pure: no socket and no clock of its own, so that each rule can be tested with plain bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import orjson

from common.printable import one_line

# A blank line is two line ends in a row. `str.splitlines` is not used: it also cuts at U+2028 and U+0085, which
# may stand unescaped inside JSON text.
_BLANK_LINE = re.compile(rb"(?:\r\n|\n|\r(?!\n)){2}")
_LINE_END = re.compile(rb"\r\n|\n|\r")
MOST_TOKENS = 1_000_000  # of one answer; more is no count
_REASONING_FIELDS = ("content", "reasoning", "reasoning_content", "refusal")


class Framer:
    """Cuts a byte stream into whole SSE events. What is not yet whole waits for the next bytes."""

    def __init__(self) -> None:
        self._tail = b""

    def feed(self, data: bytes) -> list[bytes]:
        buffer = self._tail + data if self._tail else data
        if b"\r" not in buffer:
            *events, self._tail = buffer.split(b"\n\n")
            return events
        *events, self._tail = _BLANK_LINE.split(buffer)
        return events


def data_of(event: bytes) -> bytes | None:
    """The joined `data:` lines of one event; None for comments and for events without data."""
    if event.startswith(b"data: ") and b"\n" not in event and b"\r" not in event:
        return event[6:]
    lines = [line[5:].removeprefix(b" ") for line in _LINE_END.split(event) if line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None


def is_plain_text(data: bytes) -> bool:
    """True when the bytes alone prove one text token and nothing else; False means: parse it.

    Inside a JSON string a quote is escaped, so text that merely talks about "error" does not match.
    """
    return (
        b'"finish_reason":null' in data
        and b'"content":"' in data
        and b'"content":""' not in data
        and b'"error"' not in data
        and b'"usage":{' not in data
    )


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Token counts as the server gives them; `cached` is None when it does not say."""

    prompt: int
    output: int
    cached: int | None


@dataclass(slots=True)
class StreamedAnswer:
    """What has arrived of one streamed answer. Times are nanoseconds of `time.perf_counter_ns`.

    Each gap is (nanoseconds between two reads that carried text, text events in the later read). `counts`: how many
    tokens there were by the end of each such read, as the server says with its events when asked for continuous usage;
    None as soon as an event with text does not say.
    """

    first: int | None = None
    last: int | None = None
    first_events: int = 0
    events: int = 0
    reads: int = 0
    gaps: list[tuple[int, int]] = field(default_factory=list)
    finish: str | None = None
    usage: TokenUsage | None = None
    counts: list[int] | None = field(default_factory=list)
    error: str | None = None
    malformed: str | None = None
    not_utf8: bool = False
    done: bool = False
    kept: list[bytes] | None = None  # the events' data, only where the text is wanted
    _counted: int = 0
    _framer: Framer = field(default_factory=Framer)

    def take(self, now: int, body: bytes) -> None:
        """Adds what one read brought. All events of one read share its time."""
        texts = 0
        for event in self._framer.feed(body):
            data = data_of(event)
            if data is None or self.done:
                continue
            if not data.isascii() and not _is_utf8(data):
                self.not_utf8, self.malformed = True, f"an event is not UTF-8: {_short(data)}"
                continue
            if self.kept is not None:
                self.kept.append(data)
            if self.events + texts and is_plain_text(data):
                texts += 1
                self.counts = None
            else:
                texts += self._parsed(data)
        if texts:
            self._mark(now, texts)

    def text(self) -> str:
        """What was answered, without reasoning; empty unless `kept` was a list from the start."""
        return "".join(_content(data) for data in self.kept or ())

    def _mark(self, now: int, texts: int) -> None:
        if self.last is None:
            self.first = now
            self.first_events = texts
        else:
            self.gaps.append((now - self.last, texts))
        self.last = now
        self.events += texts
        self.reads += 1
        if self.counts is not None:
            self.counts.append(self._counted)

    def _parsed(self, data: bytes) -> int:
        """Notes what an event says; returns 1 when it carried text."""
        if data.strip() == b"[DONE]":
            self.done = True
            return 0
        try:
            event = orjson.loads(data)
        except orjson.JSONDecodeError:
            self.malformed = f"an event is not JSON: {_short(data)}"
            return 0
        if not isinstance(event, dict):
            self.malformed = f"an event is not a JSON object: {_short(data)}"
            return 0
        if event.get("error"):
            self.error = error_text(event["error"])
            return 0
        said = _usage(event.get("usage"))
        self.usage = said or self.usage
        texts = self._choices(event.get("choices"))
        if texts and said is None:
            self.counts = None
        elif texts and said is not None:
            self._counted = said.output
        return texts

    def _choices(self, choices: object) -> int:
        text = False
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, dict):
                continue
            finish = choice.get("finish_reason")
            self.finish = finish if isinstance(finish, str) and finish else self.finish
            delta = choice.get("delta")
            text = text or (isinstance(delta, dict) and _has_text(delta))
        return int(text)


def _content(data: bytes) -> str:
    """The `content` of one event that was already taken."""
    try:
        choices = orjson.loads(data).get("choices")
        return "".join(choice["delta"].get("content") or "" for choice in choices)
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError):
        return ""


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _has_text(delta: dict[str, Any]) -> bool:
    """Text, reasoning or a tool call. A chunk that only names the role is not a token."""
    return any(delta.get(name) for name in _REASONING_FIELDS) or bool(delta.get("tool_calls"))


def _usage(usage: object) -> TokenUsage | None:
    if not isinstance(usage, dict):
        return None
    details = usage.get("prompt_tokens_details")
    cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else None
    output = _count(usage.get("completion_tokens"))
    return None if output is None else TokenUsage(_count(usage.get("prompt_tokens")) or 0, output, cached)


def _count(value: object) -> int | None:
    """None for what counts nothing, whatever a server may write there."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS else None


def error_text(error: object) -> str:
    """The message of an OpenAI error object, or whatever stands in its place, on one line."""
    message = error.get("message", error) if isinstance(error, dict) else error
    return one_line(str(message))


def _short(data: bytes) -> str:
    return repr(data[:60].decode("utf-8", "replace"))
