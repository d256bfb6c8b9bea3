"""One request's record, and the classes of failure it can have."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from loadtest.client.sse import StreamedAnswer


class RequestOutcome(StrEnum):
    """How a request ended. Only OK counts as success; each failure has one class."""

    OK = "ok"
    CONNECT = "connect"  # no connection, or lost before the request was written
    TIMEOUT = "timeout"  # no text within the time for the first token
    UNAUTHORISED = "401"
    FORBIDDEN = "403"
    NOT_FOUND = "404"
    OVERLOADED = "429"
    UNAVAILABLE = "503"
    CLIENT_ERROR = "4xx"
    SERVER_ERROR = "5xx"
    IN_STREAM = "in-stream error"  # an error event inside a 200 stream, or finish reason "abort"
    CUT = "cut"  # the stream ended without a finish reason or without [DONE]
    EMPTY = "empty"  # a proper end, but not one token
    STALLED = "stalled"  # text had come, then none for the stall time; comments that keep a stream open are none
    MALFORMED = "malformed"  # not HTTP, not an event stream, or not JSON
    NOT_UTF8 = "not UTF-8"  # an event's bytes are no text


_BY_STATUS = {
    401: RequestOutcome.UNAUTHORISED,
    403: RequestOutcome.FORBIDDEN,
    404: RequestOutcome.NOT_FOUND,
    429: RequestOutcome.OVERLOADED,
    503: RequestOutcome.UNAVAILABLE,
}
REFUSALS = (RequestOutcome.OVERLOADED, RequestOutcome.UNAVAILABLE)


def outcome_of_status(status: int) -> RequestOutcome:
    """The class of an answer that is not 2xx."""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if 400 <= status < 500:
        return RequestOutcome.CLIENT_ERROR
    return RequestOutcome.SERVER_ERROR if status >= 500 else RequestOutcome.MALFORMED


def outcome_of_answer(answer: StreamedAnswer) -> tuple[RequestOutcome, str]:
    """Strict success: a finish reason that is not "abort", [DONE], no error event, and at least one token."""
    if answer.error is not None:
        return RequestOutcome.IN_STREAM, answer.error
    if answer.not_utf8:
        return RequestOutcome.NOT_UTF8, answer.malformed or ""
    if answer.malformed is not None:
        return RequestOutcome.MALFORMED, answer.malformed
    if not answer.done:
        return RequestOutcome.CUT, f"the stream ended without [DONE] after {answer.events} text events"
    if answer.finish is None:
        return RequestOutcome.CUT, "[DONE] came without a finish reason"
    if answer.finish == "abort":
        return RequestOutcome.IN_STREAM, "finish reason is abort"
    if tokens_out(answer) < 1:
        return RequestOutcome.EMPTY, "a proper end, but not one token"
    return RequestOutcome.OK, ""


def tokens_out(answer: StreamedAnswer) -> int:
    """Output tokens by the server's `usage`, else the text events: a chunk may hold several tokens."""
    return answer.usage.output if answer.usage is not None else answer.events


@dataclass(slots=True)
class Record:
    """One request. Times are nanoseconds of `time.perf_counter_ns`; None is "did not happen".

    plan: when it was to be sent (closed loop: when its user was free); begun: when the client turned to it, so that
    begun - plan is the client's own lateness; send: just before the first byte was written; wire: after the last;
    end: the answer was over, good or bad.
    model: whom it asked, where the workload names models; empty: the run's own.
    turn: of its conversation, from 1; max_tokens: asked for, 0 where not known; key: which of the keys, from 1.
    refusals: statuses (429, 503) met before the last try; waited: nanoseconds of Retry-After obeyed; retry_after: what
    the last answer asked for, in seconds.
    """

    stage: int
    user: int
    index: int
    plan: int
    send: int
    wire: int | None = None
    end: int = 0
    status: int | None = None
    outcome: RequestOutcome = RequestOutcome.CONNECT
    detail: str = ""
    answer: StreamedAnswer = field(default_factory=StreamedAnswer)
    begun: int | None = None
    kind: str = ""
    turn: int = 1
    max_tokens: int = 0
    key: int = 1
    refusals: list[int] = field(default_factory=list)
    waited: int = 0
    retry_after: float | None = None
    model: str = ""

    @property
    def ok(self) -> bool:
        return self.outcome is RequestOutcome.OK

    @property
    def tokens(self) -> int:
        return tokens_out(self.answer)

    @property
    def lateness(self) -> int:
        """Nanoseconds by which the client itself was late; what the server or the network did is not in it."""
        return (self.send if self.begun is None else self.begun) - self.plan
