"""Two engines on one card, started one after the other or at once, with and without the bytes of their KV cache."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fullbatch.core import http
from fullbatch.lifecycle import engine_log
from fullbatch.lifecycle.deployment import kv_tokens_reported
from fullbatch.measure.calibrate import logged
from fullbatch.planning.plan import Plan
from fullbatch.runtime.base import Say
from scripts.gpubench.sides import card_gib
from scripts.gpubench.turns import plans
from scripts.gpubench.turns.launched import Clock, LoneEngine, used_mib

# Memory that is not given back within so long is written down as it is.
_FREED_MIB, _FREED_S = 600.0, 30.0


@dataclass(frozen=True)
class Variant:
    """``planned``: with both numbers, as the plan gives them; else with the share alone, as people do by hand."""

    name: str
    at_once: bool
    planned: bool


# Most wanted first. What the launcher and `depends_on` do is one after the other, with both numbers.
VARIANTS = (
    Variant("at once, share alone", at_once=True, planned=False),
    Variant("at once, as planned", at_once=True, planned=True),
    Variant("one after the other, as planned", at_once=False, planned=True),
    Variant("one after the other, share alone", at_once=False, planned=False),
)


@dataclass(frozen=True)
class StartRace:
    """``first_port``: of the first engine; ``folder``: of the engines' logs."""

    root: Path
    plan: Plan
    first_port: int
    folder: Path

    def measure(self, found: dict[str, Any], clock: Clock, say: Say) -> None:
        """Each variant that is not in ``found`` yet. OutOfTime where there is none left."""
        variants: dict[str, Any] = found.setdefault("variants", {})
        for number, variant in enumerate(VARIANTS):
            if variant.name not in variants:
                variants[variant.name] = self._start(variant, self.first_port + 20 * number, clock)
                told = {name: one["kv_tokens"] or one["why"] for name, one in variants[variant.name].items()}
                say(f"{variant.name}: {told}")

    def _start(self, variant: Variant, port: int, clock: Clock) -> dict[str, Any]:
        empty = used_mib()
        engines: list[LoneEngine] = []
        try:
            for number, planned in enumerate(self.plan.engines):
                given = planned if variant.planned else plans.share_alone(planned)
                log = self.folder / f"{variant.name.replace(' ', '-').replace(',', '')}-{planned.served_name}.log"
                engines.append(LoneEngine(self.root, given, port + number, log))
                if not variant.at_once:
                    clock.until(engines[-1].settled)
            clock.until(lambda: all([engine.settled() for engine in engines]))
            return {engine.engine.served_name: _found(engine) for engine in engines}
        finally:
            for engine in engines:
                engine.stop()
            _wait_for_memory(empty, clock)


def _found(engine: LoneEngine) -> dict[str, Any]:
    words = engine.words()
    return {
        "kv_tokens": kv_tokens_reported(http.metrics(engine.url)),
        "kv_tokens_planned": engine.engine.capacity.kv_tokens,
        "seconds": engine.seconds,
        "card_gib": card_gib([engine.pid]),
        "logged": logged(words),
        "why": "" if engine.seconds is not None else engine_log.cause(words) or "it ended",
    }


def _wait_for_memory(before: float | None, clock: Clock) -> None:
    soon = Clock(min(clock.deadline, Clock.in_seconds(_FREED_S).deadline))
    soon.patiently(lambda: before is None or (used_mib() or 0.0) <= before + _FREED_MIB)
