"""Tells a client that waits for a model to be loaded that somebody is still there.

Silent at first: the status is still open then, and so is another try. After `SILENT_S` the answer begins with 200, and
what every client that was tried ignores: comments between server-sent events, spaces before a line of Ollama's or
before JSON (docs/decisions/0038 has the clients).
"""

from __future__ import annotations

from gateway.core.errors import GatewayError
from gateway.dialects.base import Dialect
from gateway.http.messages import JSON
from gateway.http.reply import Reply
from gateway.turns.desk import Expectation

SILENT_S, EVERY_S = 15.0, 10.0
_EVENTS = b"text/event-stream; charset=utf-8"
_BLANK = b" "


class LoadingNotice:
    """One request's, while it waits. Of `reply.Early`."""

    def __init__(self, reply: Reply, dialect: Dialect, expected: Expectation, now: float) -> None:
        self._reply = reply
        self._dialect = dialect
        self._expected = expected
        self._call = reply.request.call
        self._began = now
        self._next = now + SILENT_S
        self._lines = self._call.stream and self._call.translation is not None
        if expected.away():
            reply.extra += b"x-model-state: loading\r\n"

    def check(self, now: float) -> None:
        """Say something if it is time (called by the ticker)."""
        if now < self._next or self._reply.started:
            return
        if self._reply.early is None:
            if not self._expected.away() or not (self._call.stream or self._expected.whole):
                return
            record = self._reply.request
            self._reply.extra += b"x-queue-position: %d\r\nx-queue-wait: %.3f\r\n" % (
                record.position, now - self._began,
            )  # fmt: skip
            self._reply.begin_early(self._content_type(), self._piece(), self)
        else:
            self._reply.write(self._piece())
        self._next = now + EVERY_S

    def _content_type(self) -> bytes:
        if not self._call.stream:
            return JSON
        return _EVENTS if self._call.translation is None else self._call.translation.stream_type

    def _piece(self) -> bytes:
        if self._lines or not self._call.stream:
            return _BLANK
        about = self._expected.about_s()
        when = f", about {max(1, round(about))} s" if about < 1e6 else ""
        return f": waiting: {self._expected.model} is being loaded{when}\n\n".encode()

    def failure(self, error: GatewayError) -> bytes:
        return self._dialect.error_event(error) if self._call.stream else self._dialect.error(error)

    def refusal(self, body: bytes) -> bytes:
        if not self._call.stream:
            return body
        return body + b"\n" if self._lines else b"data: " + body + b"\n\n"
