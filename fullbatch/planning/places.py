"""`CardPlace`: cards that models share, and what each of them has of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """What one model has of its cards, or of main memory on the processor, GiB; `turns`: only while it is its turn."""

    model: str
    weights_gib: float
    overhead_gib: float
    kv_gib: float
    turns: bool = False

    @property
    def gib(self) -> float:
        """All of it."""
        return self.weights_gib + self.overhead_gib + self.kv_gib


@dataclass(frozen=True)
class CardPlace:
    """`title`: the cards, for a person. `kept_gib`: what sleepers keep of it. The processor's `total_gib` is what its
    models take at most: how much there is is the machine's."""

    title: str
    total_gib: float
    shares: tuple[Share, ...]
    kept_gib: float = 0.0

    @property
    def turn_gib(self) -> float:
        """What the one has whose turn it is, at most."""
        return max((share.gib for share in self.shares if share.turns), default=0.0)

    @property
    def free_gib(self) -> float:
        """What is left to nobody."""
        return self.total_gib - self.kept_gib - self.turn_gib - sum(one.gib for one in self.shares if not one.turns)
