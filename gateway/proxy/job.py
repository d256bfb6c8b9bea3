"""One request on its way to an engine, and what is noted of it on the way."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.call import Call
from gateway.dialects.base import Dialect
from gateway.proxy.usage_meter import UsageMeter
from gateway.telemetry.access_log import RequestRecord
from gateway.telemetry.metrics import Metrics


@dataclass(slots=True)
class Job:
    """One request on its way: what is sent, how its client speaks, what counts its tokens, what becomes of it.

    ``received``: when it came, on the loop's clock.
    """

    call: Call
    dialect: Dialect
    meter: UsageMeter
    record: RequestRecord
    metrics: Metrics
    received: float

    def begun(self, status: int, at: float) -> None:
        """The first byte of an answer's body has come; of a stream its first event, not a comment or a ping."""
        record = self.record
        record.stage = "streaming"
        # Observed when it happens: a long answer would else report its first token minutes late.
        if self.call.stream and status < 400:
            record.ttft = at - self.received
            self.metrics.first_byte(record.endpoint, record.model, record.ttft)
