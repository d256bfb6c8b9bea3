"""Deals out the memory of cards among the models that share them. Pure arithmetic, in GiB.

Together: each model has its weights, what it takes beside them, and KV cache for its people. In turns: one of the
models that take turns is there at a time, so the largest of them decides, and each sleeper keeps a little.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# What a sleeping engine keeps of a card: 2.13 at most (8B, graphs to 512 tokens; 1.5B: 1.48), docs/results.
KEPT_GIB = 2.14
# The engine looks before it starts whether so much is free; more than it takes, so that it does not fail by a hair.
START_MARGIN_GIB = 0.5


@dataclass(frozen=True)
class Need:
    """What one model takes. `kv_gib`: KV cache for its people, the least; `more`: whether more of it brings something.

    `turns`: it is there only while it is its turn; `sleeps`: it keeps its place in main memory meanwhile.
    """

    name: str
    weights_gib: float
    overhead_gib: float
    kv_gib: float
    more: bool = True
    turns: bool = False
    sleeps: bool = False

    @property
    def fixed_gib(self) -> float:
        """All but KV cache."""
        return self.weights_gib + self.overhead_gib

    @property
    def gib(self) -> float:
        """All of it, at the least."""
        return self.fixed_gib + self.kv_gib


@dataclass(frozen=True)
class Room:
    """Memory of the cards that models share: `total_gib`, and what of it may be taken. `cards`: how many they are."""

    total_gib: float
    usable_gib: float
    cards: int = 1

    def utilization(self, gib: float) -> float:
        """The share that the engine is told for a model that takes `gib`: what its start check asks for."""
        asked = math.ceil((gib + START_MARGIN_GIB * self.cards) / self.total_gib * 1000) / 1000
        return min(self.usable_gib / self.total_gib, asked)


class TooMuch(Exception):
    """The models do not fit: `missing` GiB."""

    def __init__(self, missing: float) -> None:
        super().__init__(missing)
        self.missing = missing


@dataclass(frozen=True)
class Dealt:
    """KV cache of each model in the order of their needs; what the models that take turns have together at most, and
    what their sleepers keep of it."""

    kv_gib: tuple[float, ...]
    turn_gib: float = 0.0
    kept_gib: float = 0.0


def kept(needs: Sequence[Need], cards: int) -> float:
    """What sleepers keep of the cards at most: all but the one that is awake, or all where one cannot sleep."""
    turning = [need for need in needs if need.turns]
    asleep = sum(need.sleeps for need in turning)
    return KEPT_GIB * cards * (asleep - 1 if asleep and asleep == len(turning) else asleep)


def deal(needs: Sequence[Need], room: Room) -> Dealt:
    """What each model gets: its need, and of what is left a part as large as its need for KV cache is.

    Raises:
        TooMuch: what they need at the least does not fit.
    """
    turning = [need for need in needs if need.turns]
    asleep = kept(needs, room.cards)
    turn = max((need.gib for need in turning), default=0.0)
    left = room.usable_gib - sum(need.gib for need in needs if not need.turns) - turn - asleep
    if left < 0:
        raise TooMuch(-left)
    weights = [need.kv_gib for need in needs if need.more and not need.turns]
    group = max((need.kv_gib for need in turning if need.more), default=0.0)
    whole = sum(weights) + group
    each = left / whole if whole else 0.0
    turn += group * each
    return Dealt(tuple(_kv(need, each, turn) for need in needs), turn, asleep)


def _kv(need: Need, each: float, turn: float) -> float:
    if not need.more:
        return need.kv_gib
    return turn - need.fixed_gib if need.turns else need.kv_gib * (1 + each)
