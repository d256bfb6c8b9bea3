"""`Dialect`: the interface of an API that clients speak."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from gateway.config.settings import EngineSettings
from gateway.core.call import Call
from gateway.core.errors import GatewayError
from gateway.http.messages import Request

# Every model that is configured, with the first engine that serves it.
Models = Callable[[], Mapping[str, EngineSettings]]


class Dialect(Protocol):
    """One API as its clients know it. Keeps nothing of a request: one object serves all."""

    @property
    def name(self) -> str:
        """Whose API it is: OpenAI, Anthropic or Ollama."""

    def read(self, request: Request) -> Call:
        """Understand a request.

        Raises:
            BadRequest: not what this API asks for; `param` names the field.
        """

    def error(self, error: GatewayError) -> bytes:
        """The body of an answer that is an error."""

    def error_event(self, error: GatewayError) -> bytes:
        """The end of a stream that has begun and cannot go on."""

    def refusal(self, status: int, body: bytes) -> bytes:
        """The engine's own refusal (4xx) as this API's clients know it."""

    def ended(self, tail: bytes) -> bool:
        """Whether a stream whose last bytes these are is whole. ``tail``: the engine's, before any translation."""

    def failed(self, events: bytes) -> bool:
        """Whether the engine says in these events that it has failed; they pass all the same."""
