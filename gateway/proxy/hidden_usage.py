"""Removes the usage event that the gateway asked for and the client did not. No I/O.

vLLM writes `system_fingerprint` into the last event of a stream only: asked for usage, that is the usage event and no
more the one with the finish reason. So that one waits for the next, which comes at once, and gets the fingerprint.
"""

from __future__ import annotations

import re

EVENT_END = b"\n\n"
# vLLM writes no blanks; what stands between may.
_USAGE = re.compile(rb'"usage"\s*:\s*\{')
_USAGE_NAME = b'"usage"'
_NO_CHOICES = re.compile(rb'"choices"\s*:\s*\[\s*\]')
_FINISHED = re.compile(rb'"finish_reason"\s*:\s*"')
_FINGERPRINT = re.compile(rb'"system_fingerprint"\s*:\s*"(?:[^"\\]|\\.)*"')
_NO_FINGERPRINT = re.compile(rb'"system_fingerprint"\s*:\s*null')
_NAME = b'"system_fingerprint"'
# Every event of a chat has the name with null behind it: looked for first, since it costs less.
_UNFINISHED = b'"finish_reason":null'


class HiddenUsage:
    """One stream. ``rest``: what waits for the next event; empty but between two of them."""

    __slots__ = ("rest",)

    def __init__(self) -> None:
        self.rest = b""

    def take(self, events: bytes) -> bytes:
        """Events of the engine -> what the client is to get of them now."""
        if self.rest:
            events = self.rest + events
            self.rest = b""
        if usage_at(events) >= 0:
            return _without_usage(events)
        if events.endswith(EVENT_END):
            start = events.rfind(EVENT_END, 0, len(events) - len(EVENT_END))
            start = start + len(EVENT_END) if start >= 0 else 0
            if events.find(_UNFINISHED, start) < 0 and _FINISHED.search(events, start) is not None:
                self.rest = events[start:]
                return events[:start]
        return events


def usage_at(data: bytes) -> int:
    """Where the last of an engine's counts begins; -1 where there is none. Looked for from the end, where it stands."""
    at = data.rfind(_USAGE_NAME)
    while at >= 0 and _USAGE.match(data, at) is None:
        at = data.rfind(_USAGE_NAME, 0, at)
    return at


def _without_usage(events: bytes) -> bytes:
    kept: list[bytes] = []
    fingerprint = b""
    for piece in events.split(EVENT_END):
        if usage_at(piece) >= 0 and _NO_CHOICES.search(piece) is not None:
            found = _FINGERPRINT.search(piece)
            fingerprint = found.group() if found is not None else b""
        else:
            kept.append(piece)
    if fingerprint:
        kept = [_with(fingerprint, piece) if _FINISHED.search(piece) is not None else piece for piece in kept]
    return EVENT_END.join(kept)


def _with(fingerprint: bytes, event: bytes) -> bytes:
    nothing = _NO_FINGERPRINT.search(event)
    if nothing is not None:
        start, end = nothing.span()
        return event[:start] + fingerprint + event[end:]
    if _NAME in event or not event.endswith(b"}"):
        return event
    return event[:-1] + b"," + fingerprint + b"}"
