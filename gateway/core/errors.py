"""Errors that the gateway itself answers with.

GatewayError                 anything below; carries status, OpenAI type and code, and perhaps Retry-After
    BadRequest          400  the request cannot be understood; `param` names the field
        BadFraming      400  the HTTP itself is wrong or ambiguous; the connection is closed
    Unauthorized        401  no key, or not one of ours
    Forbidden           403  this key may not use this model
        StructuredNotAllowed 403 this key's answers may have no form that an engine compiles
    OperatorsOnly       403  this key may not see what all keys do
        AdminsOnly      403  this key may not change keys
    NotFound            404  no such path
    UnknownModel        404  no engine is configured to serve the model
    Pinned              409  an admin's: another model of the card is pinned
        AnotherDecides  409  an admin's: another gateway decides on the card
    NotServed           404  the engine that serves the model does not serve this API for it
    MethodNotAllowed    405  the path is right, the method is not
    RequestTimeout      408  headers or body came too slowly
    TooLarge            413  the body is over the limit
    UnsupportedEncoding 415  a compressed body
    HeadersTooLarge     431  over 32 KiB or 100 headers
    Overloaded          429  more work than the limit admits; Retry-After
        EngineFull      429  the queue of every engine that could be asked is full
        FarRefused           another box's gateway has not taken it; no client is told, it waits again
    Internal            500  a defect of the gateway
    UnknownCoding       501  a Transfer-Encoding other than chunked
    EngineBroken        502  the engine closed, refused or answered nonsense before its first byte
    Stopping            503  the gateway is on its way out; Retry-After
    TooManyConnections  503  over limits.max_connections; Retry-After
        GatewayBusy     503  the gateway may not open another connection to an engine; Retry-After
    TooManyBodies       503  over limits.max_body_bytes_in_flight; Retry-After
    NoEngineUp          503  no engine that serves the model is up; Retry-After
        NoPlace         503  a request of another box's gateway that would have to wait here; Retry-After
        StructuredStuck 503  those that are up compile no schema at the moment; Retry-After
        ModelLoading    503  it takes turns on a card, and its turn would come too late; Retry-After
        ModelFailed     503  it takes turns on a card, and could not be loaded; Retry-After
        TurnedAway      503  batch work that was cut for somebody interactive with another model; Retry-After
    EngineSilent        504  the engine sent nothing within the limit
    PeerLoop            508  a request of another box's gateway that only a third one could serve
"""

from __future__ import annotations

from typing import Literal

import orjson


class GatewayError(Exception):
    """Base of all. The message is written for the person who sent the request."""

    status = 500
    kind = "server_error"
    code = "internal_error"
    close = False
    headers = b""  # further header lines of the answer, each with its CRLF

    def __init__(self, message: str, *, param: str | None = None, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after = retry_after

    def body(self) -> bytes:
        """OpenAI's error shape as JSON."""
        inner = {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}
        return orjson.dumps({"error": inner})

    def event(self) -> bytes:
        """The same as a server-sent event, for a stream that has begun."""
        return b"data: " + self.body() + b"\n\n"


class BadRequest(GatewayError):
    status, kind, code = 400, "invalid_request_error", "bad_request"


class BadFraming(BadRequest):
    code, close = "bad_http", True


class Unauthorized(GatewayError):
    status, kind, code = 401, "invalid_request_error", "invalid_api_key"


class Forbidden(GatewayError):
    status, kind, code = 403, "invalid_request_error", "model_not_allowed"


class StructuredNotAllowed(Forbidden):
    code = "structured_not_allowed"


class OperatorsOnly(GatewayError):
    status, kind, code = 403, "invalid_request_error", "operators_only"


class AdminsOnly(OperatorsOnly):
    code = "admins_only"


class NotFound(GatewayError):
    status, kind, code = 404, "invalid_request_error", "not_found"


class UnknownModel(GatewayError):
    status, kind, code = 404, "invalid_request_error", "model_not_found"


class NotServed(GatewayError):
    status, kind, code = 404, "invalid_request_error", "not_served"


class MethodNotAllowed(GatewayError):
    """``allow``: the methods that the path takes."""

    status, kind, code = 405, "invalid_request_error", "method_not_allowed"

    def __init__(self, message: str, *, allow: bytes = b"GET, POST") -> None:
        super().__init__(message)
        self.allow = allow


class RequestTimeout(GatewayError):
    status, kind, code, close = 408, "invalid_request_error", "request_timeout", True


class TooLarge(GatewayError):
    status, kind, code, close = 413, "invalid_request_error", "request_too_large", True


class UnsupportedEncoding(GatewayError):
    status, kind, code = 415, "invalid_request_error", "unsupported_content_encoding"


class HeadersTooLarge(GatewayError):
    status, kind, code, close = 431, "invalid_request_error", "headers_too_large", True


class Overloaded(GatewayError):
    """``reason``: which limit it was; one of those in `metrics.LIMITS`."""

    status, kind, code = 429, "rate_limit_error", "overloaded"

    def __init__(self, message: str, *, retry_after: int = 1, reason: str = "queue_full") -> None:
        super().__init__(message, retry_after=retry_after)
        self.reason = reason


class EngineFull(Overloaded):
    """The engine's own queue is full: it has not begun."""


class FarRefused(EngineFull):
    """Another box's gateway has not begun: the request waits here again."""


class Internal(GatewayError):
    pass


class UnknownCoding(GatewayError):
    status, kind, code, close = 501, "invalid_request_error", "unknown_transfer_encoding", True


# How an engine failed a request; `dispatch` says what follows from each.
How = Literal["unsent", "unread", "declined", "stale", "silent", "broken"]


class EngineBroken(GatewayError):
    """``how`` says whether the engine can have worked on the request."""

    status, code = 502, "engine_broken"

    def __init__(self, message: str, *, how: How = "broken") -> None:
        super().__init__(message)
        self.how: How = how


class NoEngineUp(GatewayError):
    status, code = 503, "no_engine_up"


class NoPlace(NoEngineUp):
    """It waits at home, where its turn is known, and not here as well."""

    code = "no_place"


class StructuredStuck(NoEngineUp):
    """Plain requests are served."""

    code = "structured_output_stuck"


class ModelLoading(NoEngineUp):
    """``Retry-After``: when it is expected to be there."""

    code = "model_loading"


class ModelFailed(NoEngineUp):
    """``Retry-After``: when it is tried again."""

    code = "model_failed"


class TurnedAway(NoEngineUp):
    code = "model_turned_away"


class Pinned(GatewayError):
    """Another model of the card is to stay."""

    status, kind, code = 409, "invalid_request_error", "another_is_pinned"


class AnotherDecides(Pinned):
    """Another gateway, on the card of the model."""

    code = "another_gateway_decides"


class Stopping(GatewayError):
    status, code, close = 503, "gateway_stopping", True


class TooManyConnections(GatewayError):
    status, code, close = 503, "too_many_connections", True


class GatewayBusy(TooManyConnections):
    close = False


class TooManyBodies(GatewayError):
    status, code, close = 503, "too_many_bodies", True


class EngineSilent(GatewayError):
    status, code = 504, "engine_silent"


class PeerLoop(GatewayError):
    status, code = 508, "peer_loop"
