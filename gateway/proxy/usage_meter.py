"""Counts a request's tokens from the bytes that pass, without parsing them. No I/O.

vLLM sends one event for each token or few tokens, and its own exact count in one `usage` object: in an OpenAI stream
in an event of its own before `[DONE]`, in a whole answer near its end, in Anthropic's and the Responses API's streams
inside an event. Inside a JSON string the quotes would be escaped, so no generated text can look like one. The
Responses API repeats the client's tools, which could; so there only the last event is believed.
"""

from __future__ import annotations

import re

from gateway.core.call import Call, Usage
from gateway.proxy.hidden_usage import EVENT_END, HiddenUsage, usage_at

_COUNT = re.compile(
    rb'"(prompt_tokens|input_tokens|completion_tokens|output_tokens|cached_tokens'
    rb'|cache_read_input_tokens|cache_creation_input_tokens)"\s*:\s*(\d{1,15})'
)
# The usage object with its details is a few hundred bytes; what follows it is not searched for numbers.
_USAGE_BYTES = 1024


# Anthropic's way of keeping a stream alive; the others' is a comment (vLLM's --sse-keep-alive-interval). Both are made
# by the front end, whatever its core does.
_PINGS = (b"event: ping", b"event:ping")


def brings(events: bytes) -> int:
    """How many of these whole events bring something; comments, pings and blank lines do not."""
    if events.startswith(b"data:") and events.find(EVENT_END) == len(events) - len(EVENT_END):
        return 1  # nearly always
    return sum(map(_brings, events.split(EVENT_END)))


def _brings(event: bytes) -> bool:
    return (event.startswith(b"data:") or b"\ndata:" in event) and not event.lstrip(b"\n").startswith(_PINGS)


class UsageMeter:
    """Sees one answer go by. ``first_at`` and ``last_at``: the loop's clock, of the first and the last piece.

    ``events``: those that brought something; ``brought``: whether the last piece did.
    """

    __slots__ = ("_call", "_hidden", "_tail", "_usage", "brought", "events", "first_at", "last_at")

    def __init__(self, call: Call) -> None:
        self._call = call
        self._usage: Usage | None = None
        self._tail = b""
        self._hidden = HiddenUsage() if call.hides_usage else None
        self.events = 0
        self.brought = False
        self.first_at = 0.0
        self.last_at = 0.0

    def stream(self, events: bytes) -> bytes:
        """Look at whole events; returns what the client is to get of them."""
        if self._tail or not events.endswith(EVENT_END):
            self.events += events.count(EVENT_END)
            self.brought = True
            self._look_at_piece(events)
        else:
            count = brings(events)
            self.events += count
            self.brought = count > 0
            at = usage_at(events)
            if at >= 0 and (not self._call.usage_ends or events.endswith(self._call.usage_ends)):
                self._read(events, at)
        return events if self._hidden is None else self._hidden.take(events)

    @property
    def rest(self) -> bytes:
        """What the client has not got yet of the events so far; it comes with the next one, if there is one."""
        return b"" if self._hidden is None else self._hidden.rest

    def whole(self, body: bytes) -> None:
        """Look at an answer that is no stream, or at the next piece of a long one."""
        if self._tail:
            body = self._tail + body
        at = usage_at(body)
        if at >= 0:
            self._read(body, at)
        self._tail = body[-_USAGE_BYTES:]

    @property
    def usage(self) -> Usage:
        """The engine's count, or what can be said without it: one token an event, the prompt by its size."""
        found = self._usage
        if found is not None and found.exact:
            return found
        if not self.first_at:
            return Usage()
        if found is None:
            return Usage(self._call.prompt_tokens, self.events)
        return Usage(found.prompt_tokens, self.events, found.cached_tokens)

    @property
    def seconds_per_token(self) -> float | None:
        """Mean time between output tokens after the first; None for fewer than two."""
        if self.events < 2:
            return None
        tokens = self.usage.completion_tokens
        return (self.last_at - self.first_at) / (tokens - 1) if tokens > 1 else None

    def _look_at_piece(self, piece: bytes) -> None:
        """An event that is too long to be kept together goes by in pieces; its usage is near its end."""
        last = self._tail + piece
        if piece.endswith(EVENT_END):
            self._tail = b""
            at = usage_at(last)
            if at >= 0 and (not self._call.usage_ends or last.endswith(self._call.usage_ends)):
                self._read(last, at)
        else:
            self._tail = last[-_USAGE_BYTES:]

    def _read(self, data: bytes, start: int) -> None:
        found = {name: int(number) for name, number in _COUNT.findall(data, start, start + _USAGE_BYTES)}
        if b"prompt_tokens" in found:
            prompt, output = found[b"prompt_tokens"], found.get(b"completion_tokens", 0)
        else:
            # Anthropic's input_tokens are those that no cache had a part in; the Responses API's are all.
            written = found.get(b"cache_creation_input_tokens", 0)
            prompt = found.get(b"input_tokens", 0) + found.get(b"cache_read_input_tokens", 0) + written
            if not prompt and self._usage is not None:  # the stream's first event had it
                prompt = self._usage.prompt_tokens
            output = found.get(b"output_tokens", 0)
        cached = found.get(b"cached_tokens") or found.get(b"cache_read_input_tokens", 0)
        # Anthropic's first event has the prompt's count and none for the answer: that comes with its end.
        self._usage = Usage(prompt, output, cached, exact=not self._call.stream or output > 0)
