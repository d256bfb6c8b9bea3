"""Where requests to one address are sent, and what is underway there."""

from __future__ import annotations

from typing import Protocol

from gateway.core.errors import EngineSilent, GatewayError
from gateway.http.client import Pool


class Underway(Protocol):
    """A request that an engine has."""

    @property
    def unread(self) -> int:
        """Estimated tokens of its prompt while nothing of the answer has come; then 0."""

    @property
    def blocked(self) -> bool:
        """Its client does not take what is written, so nothing is read from the engine."""

    @property
    def last_byte_at(self) -> float:
        """The loop's clock when the last byte came; 0 before the first."""

    @property
    def structured_since(self) -> float:
        """The loop's clock since when it waits for the first token of a structured answer; 0 if it does not."""

    @property
    def level(self) -> int:
        """How urgent it is: one of `priority.PRIORITIES`."""

    def cut(self, error: EngineSilent) -> None:
        """Nothing more will come."""

    def stop(self, error: GatewayError) -> None:
        """It has to make room."""


class Destination:
    """Where to send: an address's pool, its Host header; and what is underway there.

    ``label``: its name in messages, which clients read: without its address. ``extra``: further header lines, to
    another box's gateway.
    """

    __slots__ = ("_last_byte_at", "extra", "host_header", "label", "pool", "underway")

    def __init__(self, pool: Pool, label: str, host_header: bytes, extra: bytes = b"") -> None:
        self.pool = pool
        self.label = label
        self.extra = extra
        self.host_header = host_header
        self.underway: set[Underway] = set()
        self._last_byte_at = 0.0

    def ended(self, request: Underway) -> None:
        self.underway.discard(request)
        if (at := request.last_byte_at) > self._last_byte_at:
            self._last_byte_at = at

    @property
    def last_byte_at(self) -> float:
        return max(self._last_byte_at, max((request.last_byte_at for request in self.underway), default=0.0))
