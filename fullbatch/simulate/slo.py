"""How many people can be promised something."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from fullbatch.core.errors import UsageError
from fullbatch.simulate.figures import LoadFigures

MOST_PEOPLE = 1024
_PROMISED = ("ttft_p50", "ttft_p95", "itl_p50", "itl_p95")
_PART = re.compile(r"(\w+)=([0-9]+(?:\.[0-9]+)?)(ms|s)")


def parse(text: str) -> dict[str, float]:
    """`ttft_p95=1.5s,itl_p95=60ms` -> names of `LoadFigures` and milliseconds.

    Raises:
        UsageError: a part that is none.
    """
    found = {}
    for part in text.split(","):
        match = _PART.fullmatch(part.strip())
        if not match or match[1] not in _PROMISED or not float(match[2]):
            raise UsageError(f"--slo: '{part}': write {', '.join(f'{one}=…ms' for one in _PROMISED)}, in ms or s")
        found[f"{match[1]}_ms"] = float(match[2]) * (1000 if match[3] == "s" else 1)
    return found


def holds(figures: LoadFigures, promised: Mapping[str, float]) -> bool:
    """Whether every figure is within what was promised."""
    return all(getattr(figures, name) <= most for name, most in promised.items())


def people(promised: Mapping[str, float], simulated: Callable[[int], LoadFigures], most: int = MOST_PEOPLE) -> int:
    """The most users, up to `most`, with whom it holds; 0: not even with one. `simulated`: figures by users."""
    low, high = 0, 1
    while high <= most and holds(simulated(high), promised):
        low, high = high, high * 2
    high = min(high, most + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(simulated(middle), promised) else (low, middle)
    return low
