"""Starting a plan, waiting until a real token came back, stopping it: as containers or as plain processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

Say = Callable[[str], None]


class Running(Protocol):
    """A deployment that was started, whatever runs it."""

    gateway_url: str

    def api_key(self) -> str:
        """The key a client needs; read anew each time."""

    def log_tail(self, lines: int) -> list[str]:
        """The engine's last lines of log."""

    def unready(self) -> list[str]:
        """The engines that do not answer yet, of several; with one alone the token says it."""

    def failure(self) -> str | None:
        """Why it can no longer become ready, in one line; None while it may."""
