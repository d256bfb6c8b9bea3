"""`memory`: what the plan has reckoned of the cards, for the page that shows it beside what engines report."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.config.setting_types import Frozen, Name

# A rack of cards has less.
Gib = Annotated[float, Field(ge=0, le=1e6)]


class PlannedShare(Frozen):
    """What one engine has of its cards, GiB. ``turns``: only while it is its turn."""

    engine: Name
    weights_gib: Gib
    overhead_gib: Gib
    kv_gib: Gib
    turns: bool = False

    @property
    def gib(self) -> float:
        """All of it."""
        return self.weights_gib + self.overhead_gib + self.kv_gib


class CardMemory(Frozen):
    """Cards that engines share, or that one has for itself. ``kept_gib``: what sleepers keep of them."""

    title: Name
    total_gib: Gib
    kept_gib: Gib = 0
    parts: Annotated[tuple[PlannedShare, ...], Field(min_length=1)]

    @property
    def turn_gib(self) -> float:
        """What the one has whose turn it is, at most."""
        return max((part.gib for part in self.parts if part.turns), default=0.0)

    @property
    def free_gib(self) -> float:
        """What is left to nobody; a rounding below zero is none."""
        taken = self.kept_gib + self.turn_gib + sum(part.gib for part in self.parts if not part.turns)
        return max(0.0, self.total_gib - taken)
