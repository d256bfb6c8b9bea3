"""Tokens by key, model and day."""

from __future__ import annotations

from gateway.call import Usage


class Ledger:
    """Takes note of what was used."""

    def add(self, key: str, model: str, usage: Usage) -> None:
        """One request has ended."""
