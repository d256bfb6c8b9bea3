"""What a dialect is."""

from __future__ import annotations

from typing import Protocol

from gateway.call import Call
from gateway.errors import GatewayError
from gateway.http1 import Request


class Dialect(Protocol):
    """One API as its clients know it. Without state: one object serves all requests."""

    def read(self, request: Request) -> Call:
        """Understand a request.

        Raises:
            BadRequest: not what this API asks for; `param` names the field.
        """

    def error(self, error: GatewayError) -> bytes:
        """The body of an answer that is an error."""

    def error_event(self, error: GatewayError) -> bytes:
        """The end of a stream that has begun and cannot go on."""

    def ended(self, tail: bytes) -> bool:
        """Whether a stream whose last bytes these are is whole. ``tail``: the engine's, before any translation."""
