"""How a refused request ended, as metrics and access log call it."""

from __future__ import annotations

from gateway.core.errors import GatewayError, NoPlace, Overloaded, Stopping, TooManyBodies, TooManyConnections
from gateway.core.record import RequestRecord

_BY_STATUS = {429: "overloaded", 500: "internal", 502: "engine_error", 503: "no_engine", 504: "engine_timeout"}
_BY_CODE = {Stopping.code: "stopping"} | dict.fromkeys(
    (TooManyConnections.code, TooManyBodies.code, NoPlace.code), "overloaded"
)


def judge(record: RequestRecord, error: GatewayError) -> None:
    """Write into `record` why it was refused."""
    record.outcome = _BY_CODE.get(error.code) or _BY_STATUS.get(error.status, "refused")
    if isinstance(error, Overloaded):
        record.limit = error.reason
    elif error.status >= 500:
        record.error = error.message
