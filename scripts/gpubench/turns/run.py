"""Runs a cell's parts in the time there is; writes each one's JSON however it ends, and goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fullbatch.core.errors import FullbatchError
from fullbatch.planning import card_share
from fullbatch.planning.plan import Plan
from fullbatch.runtime import launcher_file
from fullbatch.runtime.base import Ports
from scripts.gpubench import models
from scripts.gpubench.matrix import Matrix, TurnsCell
from scripts.gpubench.run import BenchOptions
from scripts.gpubench.sides import Vllm, forget
from scripts.gpubench.turns import plans
from scripts.gpubench.turns.asleep import TakingTurns
from scripts.gpubench.turns.launched import Clock, LaunchedCard, OutOfTime
from scripts.gpubench.turns.people import PeopleAsking
from scripts.gpubench.turns.race import StartRace

# Files of a cell's folder.
PARTS = ("turns", "race", "people")
# A part that is given less is not begun: two engines have to start.
LEAST_S = 100.0
# The last seconds are for stopping what runs.
_ENDING_S = 15.0


class RunningTurns:
    """One cell. Its parts are files of its folder; one that is done is not done again."""

    def __init__(self, matrix: Matrix, cell: TurnsCell, options: BenchOptions) -> None:
        self._matrix, self._cell, self._options = matrix, cell, options
        self._folder = options.out / cell.name
        self._clock = Clock(options.deadline - _ENDING_S)
        each: tuple[Callable[[dict[str, Any]], None], ...] = (self._turns, self._race, self._people)
        self._parts = dict(zip(PARTS, each, strict=True))

    def run(self) -> bool:
        """Whether all of it is done now."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for name in self._cell.models:
            repository = self._matrix.models[name].repository
            models.write(self._options.here.models, name, repository, quantised=False)
        for name, part in self._parts.items():
            if read(self._folder, name).get("status") != "done":
                self._part(name, part)
        return done(self._folder)

    def _part(self, name: str, part: Callable[[dict[str, Any]], None]) -> None:
        say = self._options.say
        left = self._clock.deadline - Clock.in_seconds(0).deadline
        if left < LEAST_S:
            say(f"{self._cell.name}, {name}: not begun, {max(0.0, left):.0f} s are left")
            return
        kept = read(self._folder, name).get("variants", {})
        found: dict[str, Any] = {"status": "failed", "began": _now()} | ({"variants": kept} if kept else {})
        try:
            part(found)
            found["status"] = "done"
        except OutOfTime:
            found["status"] = "cut short"
            say(f"{self._cell.name}, {name}: no time is left")
        except FullbatchError as error:
            found["error"] = str(error)[:4000]
            say(f"{self._cell.name}, {name}: {str(error).splitlines()[0]}")
        finally:
            found["ended"] = _now()
            (self._folder / f"{name}.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")

    def _turns(self, found: dict[str, Any]) -> None:
        plan = plans.in_turns(self._cell, self._matrix, self._options.here)
        found["planned"] = planned(plan)
        card = LaunchedCard(self._options.root, plan, self._port(0))
        try:
            TakingTurns(card, self._cell, found, self._clock, self._options.say).measure()
        finally:
            card.stop()
            (self._folder / "launcher.log").write_text(card.log(), encoding="utf-8")

    def _race(self, found: dict[str, Any]) -> None:
        plan = plans.together(self._cell, self._matrix, self._options.here)
        found["planned"] = planned(plan)
        race = StartRace(self._options.root, plan, self._port(20), self._folder)
        race.measure(found, self._clock, self._options.say)

    def _people(self, found: dict[str, Any]) -> None:
        plan = plans.for_people(self._cell, self._matrix, self._options.here)
        ports = Ports(self._options.ports.gateway, self._port(120))
        forget(self._options.root, plan)
        side = Vllm(self._options.root, "turns", plan, ports, self._options.say)
        try:
            found["first_token_s"] = side.wait()
            PeopleAsking(side, self._cell, self._clock).measure(found)
        finally:
            log = "\n".join(side.deployment.log_tail(20_000))
            (self._folder / "people-launcher.log").write_text(log, encoding="utf-8")
            side.stop()

    def _port(self, beyond: int) -> int:
        return (self._options.ports.engine or 8100) + beyond


def planned(plan: Plan) -> dict[str, Any]:
    """What is expected, written before the first engine starts."""
    return {
        "kept_gib": card_share.KEPT_GIB,
        "asleep_mib": launcher_file.ASLEEP_MIB,
        "engines": {
            engine.served_name: {
                "flags": {flag.name: flag.value for flag in engine.flags},
                "kv_tokens": engine.capacity.kv_tokens,
                "wake_guess_s": engine.turn.wake_guess_s if engine.turn else None,
                "cold_guess_s": engine.turn.cold_guess_s if engine.turn else None,
            }
            for engine in plan.engines
        },
    }


def done(folder: Path) -> bool:
    """Whether all of its parts are."""
    return all(read(folder, name).get("status") == "done" for name in PARTS)


def read(folder: Path, name: str) -> dict[str, Any]:
    """What is known of a part; empty: nothing."""
    try:
        found: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
