"""A card that is not the one planned for, and the flags that a side gets on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scripts.gpubench import plans
from scripts.gpubench.matrix import Matrix

H100_GIB = 79.18
HERE = plans.Here(H100_GIB, Path("/models"), frozenset({"max-num-queued-reqs"}))


def flags(made: Matrix, model: str, side: str, here: plans.Here = HERE) -> dict[str, Any]:
    engine = plans.make(made, model, side, here).plan.engines[0]
    return {flag.name: flag.value for flag in engine.flags}
