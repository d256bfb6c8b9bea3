"""Counts a request's tokens from the bytes that pass, without parsing them. No I/O.

vLLM sends one event for each token or few tokens, and its own exact count in one `usage` object: in an OpenAI stream
in an event of its own before `[DONE]`, in a whole answer near its end, in Anthropic's and the Responses API's streams
inside an event. Inside a JSON string the quotes would be escaped, so no generated text can look like one.
"""

from __future__ import annotations

import re

from gateway.call import Call, Usage

EVENT_END = b"\n\n"
_USAGE = b'"usage":{'
_COUNT = re.compile(
    rb'"(prompt_tokens|input_tokens|completion_tokens|output_tokens|cached_tokens|cache_read_input_tokens)":(\d{1,15})'
)
_NO_CHOICES = b'"choices":[]'
# The usage object with its details is a few hundred bytes; what follows it is not searched for numbers.
_USAGE_BYTES = 1024
_FIELDS = {
    b"prompt_tokens": "prompt_tokens",
    b"input_tokens": "prompt_tokens",
    b"completion_tokens": "completion_tokens",
    b"output_tokens": "completion_tokens",
    b"cached_tokens": "cached_tokens",
    b"cache_read_input_tokens": "cached_tokens",
}


class Meter:
    """Sees one answer go by. ``first_at`` and ``last_at``: the loop's clock, of the first and the last piece."""

    __slots__ = ("_call", "_tail", "_usage", "events", "first_at", "last_at")

    def __init__(self, call: Call) -> None:
        self._call = call
        self._usage: Usage | None = None
        self._tail = b""
        self.events = 0
        self.first_at = 0.0
        self.last_at = 0.0

    def stream(self, events: bytes) -> bytes:
        """Look at whole events; returns what the client is to get of them."""
        self.events += events.count(EVENT_END)
        if _USAGE not in events:
            return events
        self._read(events)
        return _without_usage_event(events) if self._call.hides_usage else events

    def whole(self, body: bytes) -> None:
        """Look at an answer that is no stream, or at the end of a long one."""
        if _USAGE in body:
            self._read(body)

    def piece(self, data: bytes) -> None:
        """Look at the next piece of an answer that is no stream and too long to be held."""
        self.whole(self._tail + data[:_USAGE_BYTES])
        self.whole(data)
        self._tail = data[-_USAGE_BYTES:]

    @property
    def usage(self) -> Usage:
        """The engine's count, or what can be said without it: one token an event, the prompt by its size."""
        found = self._usage
        if found is not None and found.exact:
            return found
        if not self.first_at:
            return Usage()
        return Usage(found.prompt_tokens if found is not None else self._call.prompt_tokens, self.events)

    @property
    def seconds_per_token(self) -> float | None:
        """Mean time between output tokens after the first; None for fewer than two."""
        tokens = self.usage.completion_tokens
        return (self.last_at - self.first_at) / (tokens - 1) if tokens > 1 and self.events > 1 else None

    def _read(self, data: bytes) -> None:
        usage = self._usage or Usage()
        start = data.rindex(_USAGE)
        found = dict(_COUNT.findall(data, start, start + _USAGE_BYTES))
        for name, number in found.items():
            setattr(usage, _FIELDS[name], int(number))
        # Anthropic's first event has the prompt's count and none for the answer: that comes with its end.
        usage.exact = not self._call.stream or usage.completion_tokens > 0
        self._usage = usage


def _without_usage_event(events: bytes) -> bytes:
    """Leave out the event that carries usage and no choice."""
    pieces = events.split(EVENT_END)
    kept = [piece for piece in pieces if not (_USAGE in piece and _NO_CHOICES in piece)]
    return EVENT_END.join(kept)
