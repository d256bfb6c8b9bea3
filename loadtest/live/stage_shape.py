"""The users of each moment in Locust's page, from its form or the command line. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from loadtest.core.errors import UsageProblem
from loadtest.workload.schema import MOST

SPAWN_RATE = 50.0
_COUNTS = {"user_count": "Number of users", "stage_seconds": "Stage Seconds"}
_COUNTS_OR_ZERO = {"max_tokens": "Max Tokens", "prompt_tokens": "Prompt Tokens"}


@dataclass(frozen=True, slots=True)
class StageShape:
    """`users` of each step of `stage_s` seconds; the last one lasts until `run_s`, where that is given."""

    users: tuple[int, ...]
    stage_s: int
    spawn_rate: float = SPAWN_RATE
    run_s: float | None = None

    def at(self, seconds: float) -> tuple[int, float] | None:
        """Users and users started per second, so many seconds after the start; None when it is over."""
        step = int(seconds // self.stage_s)
        if self.run_s is not None:
            step = min(step, len(self.users) - 1)
            return (self.users[step], self.spawn_rate) if seconds < self.run_s else None
        return (self.users[step], self.spawn_rate) if step < len(self.users) else None


def steps(text: str) -> list[int]:
    """The users of each step. UsageProblem for anything but whole numbers of at least 1."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and len(part) <= 7 and 1 <= int(part) <= MOST for part in parts):
        raise UsageProblem(f"--steps: '{text}' is not a list of whole numbers of at least 1, such as 1,5,10,50")
    return [int(part) for part in parts]


def step_users(text: str, most: int | None) -> tuple[int, ...]:
    """The steps up to the number of users that was asked for, which is the last one; all of them when none was."""
    whole = steps(text)
    return tuple(whole) if most is None else (*(users for users in whole if users < most), most)


def fault(form: Mapping[str, str]) -> str | None:
    """What is wrong with the fields of Locust's page, in a sentence; None when nothing is."""
    for names, least in ((_COUNTS, 1), (_COUNTS_OR_ZERO, 0)):
        for name, label in names.items():
            value = form.get(name)
            if value is not None and not (value.isdecimal() and len(value) <= 7 and least <= int(value) <= MOST):
                return f"{label}: '{value}' is not a whole number of at least {least}"
    rate = form.get("spawn_rate")
    if rate is not None and not 0 < _number(rate) <= MOST:
        return f"Ramp up: '{rate}' is not a number above 0"
    try:
        steps(form.get("steps", "1"))
    except UsageProblem as problem:
        return str(problem).replace("--steps", "Steps", 1)
    return None


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return -1.0
    return value if math.isfinite(value) else -1.0
