"""Leaves out the usage event that the gateway asked for and the client did not. No I/O.

vLLM writes `system_fingerprint` into the last event of a stream only: asked for usage, that is the usage event and no
more the one with the finish reason. So that one waits for the next, which comes at once, and gets the fingerprint.
"""

from __future__ import annotations

import re

EVENT_END = b"\n\n"
USAGE = b'"usage":{'
_NO_CHOICES = b'"choices":[]'
_FINISHED = b'"finish_reason":"'
_FINGERPRINT = re.compile(rb'"system_fingerprint":"(?:[^"\\]|\\.)*"')
_NO_FINGERPRINT = b'"system_fingerprint":null'
_NAME = b'"system_fingerprint":'


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
        if USAGE in events:
            return _without_usage(events)
        if _FINISHED in events and events.endswith(EVENT_END):
            start = events.rfind(EVENT_END, 0, len(events) - len(EVENT_END))
            start = start + len(EVENT_END) if start >= 0 else 0
            if events.find(_FINISHED, start) >= 0:
                self.rest = events[start:]
                return events[:start]
        return events


def _without_usage(events: bytes) -> bytes:
    kept: list[bytes] = []
    fingerprint = b""
    for piece in events.split(EVENT_END):
        if USAGE in piece and _NO_CHOICES in piece:
            found = _FINGERPRINT.search(piece)
            fingerprint = found.group() if found is not None else b""
        else:
            kept.append(piece)
    if fingerprint:
        kept = [_with(fingerprint, piece) if _FINISHED in piece else piece for piece in kept]
    return EVENT_END.join(kept)


def _with(fingerprint: bytes, event: bytes) -> bytes:
    if _NO_FINGERPRINT in event:
        return event.replace(_NO_FINGERPRINT, fingerprint)
    if _NAME in event or not event.endswith(b"}"):
        return event
    return event[:-1] + b"," + fingerprint + b"}"
