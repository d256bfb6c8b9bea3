"""Advice for few people: checkpoints of the same model that one of them would get quicker answers from. Pure.

Decoding for one is bound by memory: each token reads all weights that it passes through. So the bytes say how much
faster it can be at most; what was measured says how much of that came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from fullbatch import catalog
from fullbatch.catalog import Model
from fullbatch.planning.plan import Plan
from fullbatch.planning.profile import Profile
from fullbatch.planning.speculative import FEW

_PRECISIONS = ("fp8", "int4", "nvfp4")
# What is less is not worth another checkpoint.
_WORTH = 1.15


@dataclass(frozen=True)
class FasterChoice:
    """Weights of fewer bytes. `times`: as fast at most, by bytes; `read_gib`: weights that a token reads.

    `quality`, `measured`: sentences; the second is empty where nothing was.
    """

    title: str
    settings: dict[str, Any]
    times: float
    read_gib: float
    quality: str
    measured: str = ""


Attempt = Callable[[dict[str, Any]], Plan | None]


def choices(made: Plan, profile: Profile, model: Model, attempt: Attempt) -> tuple[FasterChoice, ...]:
    """For a latency goal with few people on a card; the fastest last. `attempt`: the plan with other settings."""
    if profile.goal != "latency" or profile.users > FEW or not profile.hardware.gpu or model.precision != "bf16":
        return ()
    if profile.weights != "checkpoint" or "quantization" in profile.engine.args:
        return ()
    now = _read_gib(made, model)
    found = [_choice(precision, title, changes, now, model, attempt) for precision, title, changes in _ways(model)]
    worth = [one for one in found if one and one.times >= _WORTH]
    return tuple(sorted(worth, key=lambda one: one.times))


def _ways(model: Model) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Precision, words and settings of each checkpoint that is known, and of FP8 made while loading where none is."""
    for precision in _PRECISIONS:
        known = model.checkpoints.get(precision, ())
        if known:
            yield precision, f"{precision} weights ({known[0]})", {"model": known[0]}
        elif precision == "fp8" and "fp8" in model.weights_gib:
            yield precision, "fp8 weights (weights: fp8)", {"weights": "fp8"}


def _choice(
    precision: str, title: str, changes: dict[str, Any], now: float, model: Model, attempt: Attempt
) -> FasterChoice | None:
    other = attempt(changes)
    if other is None:
        return None
    read = _read_gib(other, model)
    return FasterChoice(title, changes, now / read, read, _quality(precision), _measured(precision))


def _read_gib(made: Plan, model: Model) -> float:
    """Of a mixture a token reads the part that it passes through."""
    part = min(1.0, model.dense_b / model.params_b) if model.params_b else 1.0
    return made.engines[0].budget.weights_gib * part


def _quality(precision: str) -> str:
    known = catalog.read("precision.yaml")["quality"]
    one = known.get(precision)
    if one is None:
        return "what it costs in quality is not known here"
    least, most = one["least"], one["most"]
    range_said = f"{least:g}" if least == most else f"{least:g} to {most:g}"
    return f"mean KL divergence from bf16 {range_said} ({known['model']}, {known['source']})"


def _measured(precision: str) -> str:
    known = catalog.read("precision.yaml")["speed"]
    times = known.get(precision)
    return f"{times:.2f} times measured ({known['model']}, {known['source']})" if times else ""
