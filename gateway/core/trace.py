"""W3C trace context: which trace a request belongs to, and when its parts began. Plain data.

https://www.w3.org/TR/trace-context/ is where the form of both headers comes from.
"""

from __future__ import annotations

import re
import secrets

PARENT, STATE = b"traceparent", b"tracestate"
_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
# A vendor's key and value; the standard asks for at least 512 characters in all and at most 32 of them.
_MEMBER = re.compile(rb"[a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{1,256}")
MAX_PARENT_BYTES, MAX_STATE_BYTES, MAX_MEMBERS = 512, 512, 32
_NO_TRACE, _NO_SPAN = b"0" * 32, b"0" * 16
SAMPLED = 1


class TraceContext:
    """One request's place in a trace.

    ``trace_id``, ``parent``: hex, ``parent`` empty where the trace begins here; ``span``: the gateway's own,
    ``dispatch``: that of asking an engine, whose span is below it. ``sampled``: whether anybody keeps it. ``state``: as
    it came. Seconds of the loop's clock, 0 where it did not come so far: ``queued``; ``admitted``; ``sent``, to the
    engine that answered; ``first``, the answer's first byte.
    """

    __slots__ = ("admitted", "dispatch", "first", "parent", "queued", "sampled", "sent", "span", "state", "trace_id")

    def __init__(self, trace_id: bytes, parent: bytes, sampled: bool, state: bytes) -> None:
        self.trace_id = trace_id
        self.parent = parent
        self.sampled = sampled
        self.state = state
        self.span = _hex(8)
        self.dispatch = _hex(8)
        self.queued = 0.0
        self.admitted = 0.0
        self.sent = 0.0
        self.first = 0.0

    def headers(self) -> bytes:
        """The lines for the engine."""
        return _lines(self.trace_id, self.dispatch, 1 if self.sampled else 0, self.state)


def begin(parent: bytes, state: bytes, sampled: bool) -> TraceContext:
    """The trace of a request with these headers; a header that is not as it has to be is as if it were not there.

    ``sampled``: whether one that begins here is kept; one that comes says so itself.
    """
    found = _read(parent)
    if found is None:
        return TraceContext(_hex(16), b"", sampled, b"")
    trace_id, span, flags = found
    return TraceContext(trace_id, span, flags & SAMPLED == SAMPLED, _state(state))


def passed_on(parent: bytes, state: bytes) -> bytes:
    """The lines for the engine where the gateway takes no part itself; empty for what is not as it has to be."""
    found = _read(parent)
    if found is None:
        return b""
    trace_id, span, flags = found
    return _lines(trace_id, span, flags & SAMPLED, _state(state))


def _read(parent: bytes) -> tuple[bytes, bytes, int] | None:
    if len(parent) > MAX_PARENT_BYTES:
        return None
    match = _PARENT.fullmatch(parent)
    if match is None or match[1] == b"ff" or (match[1] == b"00" and match[5] is not None):
        return None
    if match[2] == _NO_TRACE or match[3] == _NO_SPAN:
        return None
    return match[2], match[3], int(match[4], 16)


def _state(state: bytes) -> bytes:
    """As it came, without blanks around its members; empty if it is too long or one of them is not as it has to be."""
    if not state or len(state) > MAX_STATE_BYTES:
        return b""
    members = [member.strip(b" \t") for member in state.split(b",")]
    members = [member for member in members if member]
    if len(members) > MAX_MEMBERS or not all(_MEMBER.fullmatch(member) for member in members):
        return b""
    return b",".join(members)


def _lines(trace_id: bytes, span: bytes, flags: int, state: bytes) -> bytes:
    line = b"traceparent: 00-%b-%b-%02x\r\n" % (trace_id, span, flags)
    return line + b"tracestate: %b\r\n" % state if state else line


def _hex(count: int) -> bytes:
    """Random, and never all zeros."""
    while True:
        text = secrets.token_hex(count).encode()
        if text.strip(b"0"):
            return text
