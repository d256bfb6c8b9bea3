"""One request, one record: from its first byte to its line in the log. Plain data."""

from __future__ import annotations

from gateway.core.call import NO_CALL, NOBODY, Usage
from gateway.core.trace import TraceContext


class RequestRecord:
    """What is known of one request. Who is on its path fills in a part; others read it, and nobody keeps a copy.

    The parser: ``id``; ``received``, the loop's clock at its first byte, 0 if none came.
    The routes: ``principal``, whose key it has, nobody's until that has been judged; ``endpoint``, its path or "other".
    The handler: ``call``, what it asks of an engine; ``model``, empty unless a configured one; ``stage``, how far it
    came: queued, waiting for the first byte, streaming; ``usage``, what it is billed, None is nothing; ``pace``,
    seconds between output tokens.
    Its key's limits: ``charged``, tokens taken before an engine has counted.
    Admission: ``waited``, seconds in the queue, None if it never got out of it; ``position``, in the queue when it
    came: 1 is next, 0 did not wait; ``load_wait``, seconds in which its model was not loaded: ``waited`` is without.
    Dispatch: ``engine``, and ``address`` of its process. The relay: ``ttft``, seconds, of streams only.
    The handler, of a traced one: ``trace``; ``trace_headers``, lines for the engine, also where only a client traces.
    Whoever ends it: ``outcome``; ``limit``, which one refused it; ``error``, what a 5xx said.
    """

    __slots__ = (
        "address", "call", "charged", "endpoint", "engine", "error", "id", "limit", "load_wait", "model", "outcome",
        "pace", "position", "principal", "received", "stage", "trace", "trace_headers", "ttft", "usage", "waited",
    )  # fmt: skip

    def __init__(self, request_id: str, received: float) -> None:
        self.id = request_id
        self.received = received
        self.principal = NOBODY
        self.endpoint = "other"
        self.call = NO_CALL
        self.model = ""
        self.engine = ""
        self.address = ""
        self.outcome = "internal"
        self.stage = ""
        self.limit = ""
        self.error = ""
        self.charged = 0.0
        self.position = 0
        self.waited: float | None = None
        self.load_wait = 0.0
        self.ttft: float | None = None
        self.pace: float | None = None
        self.usage: Usage | None = None
        self.trace: TraceContext | None = None
        self.trace_headers = b""
