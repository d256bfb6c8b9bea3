"""Which models that take turns sleep in main memory meanwhile, which are stopped, and about how long each takes. Pure.

The seconds are guesses until they are learned: others measured 0.3 to 0.8 s to wake 1 to 8 GiB, 3 s for 64 GiB (vLLM's
blog of 2025-10-26, llm-d), and about 48 s a stop and a cold start with a filled compile cache (vllm issue 49782).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# GiB a second, from main memory to a card; and from a disk. Seconds that either takes whatever the size.
_WAKE_GIBS, _WAKE_S = 20.0, 1.0
_COLD_GIBS, _COLD_S = 2.0, 45.0
# On the processor: about half a minute of a core for an engine's own start.
_COLD_CPU_S = 30.0
# GiB of main memory that are left to everything else.
BESIDE_GIB = 4.0


@dataclass(frozen=True)
class TurnPlan:
    """How one model takes turns. `card`: whose turns they are; `sleep`: it sleeps, else it is stopped and started.

    `cost`: billions of parameters that a token passes through; guesses in seconds.
    """

    card: str
    sleep: bool
    cost: float
    wake_guess_s: float
    cold_guess_s: float

    @property
    def seconds(self) -> float:
        """About what it takes until it answers again."""
        return self.wake_guess_s if self.sleep else self.cold_guess_s


@dataclass(frozen=True)
class Sleeper:
    """A model that would sleep, with the weights that lie in main memory then, GiB."""

    name: str
    weights_gib: float


def asleep(wanted: Sequence[Sleeper], main_memory_gib: float | None, taken_gib: float = 0.0) -> frozenset[str]:
    """Those that may sleep: as many as main memory holds beside `taken_gib`, the smallest first; None: it holds all."""
    if main_memory_gib is None:
        return frozenset(one.name for one in wanted)
    free, found = main_memory_gib - BESIDE_GIB - taken_gib, set()
    for one in sorted(wanted, key=lambda one: one.weights_gib):
        if one.weights_gib <= free:
            found.add(one.name)
            free -= one.weights_gib
    return frozenset(found)


def turn(cards: tuple[int, ...], *, sleep: bool, cost: float, weights_gib: float) -> TurnPlan:
    """How a model with these weights takes turns on `cards`."""
    wake = round(_WAKE_S + weights_gib / _WAKE_GIBS, 1)
    cold = round(_COLD_S + weights_gib / _COLD_GIBS) if cards else _COLD_CPU_S
    return TurnPlan(card_name(cards), sleep, cost, wake, float(cold))


def card_name(cards: tuple[int, ...]) -> str:
    """What a set of cards is called in names of files and metrics."""
    if not cards:
        return "cpu"
    return ("card" if len(cards) == 1 else "cards") + "-".join(map(str, cards))
