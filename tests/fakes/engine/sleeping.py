"""Sleeping as vLLM's dev mode has it, behind the guard's secret; only where the fake was started with one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.fakes.engine.server import Engine

SLEEP_FAULTS = {
    "none": "behaves",
    "sleep": "/sleep answers 500",
    "insomnia": "/sleep answers 200 and nothing sleeps",
    "wake": "/wake_up answers 500, as for want of the card's memory",
    "defect": "wakes up, and answers requests with 500 from then on",
    "death": "the process ends when it is to wake up",
}
_SECRET = os.environ.get("FULLBATCH_GUARD_SECRET", "")


class Sleeper:
    """``disturbed``: requests for tokens that came while it slept; vLLM keeps them waiting."""

    def __init__(self) -> None:
        self.asleep = False
        self.disturbed = 0

    def answer(self, engine: Engine, asked: str, secret: str) -> tuple[int, dict[str, Any]] | None:
        """``asked``: method and target. None where it is something else, or the secret is wrong."""
        if not _SECRET or secret != _SECRET:
            return None
        fault = engine.knobs.sleep_fault
        if asked == "GET /is_sleeping":
            return 200, {"is_sleeping": self.asleep}
        if asked == "POST /sleep?level=1&mode=wait":
            self.asleep = fault not in ("sleep", "insomnia")
            return (500, {"error": "CUDA error"}) if fault == "sleep" else (200, {"status": "sleeping"})
        if asked == "POST /wake_up":
            if fault == "death":
                os._exit(7)
            if fault == "wake":
                return 500, {"error": "CUDA out of memory"}
            self.asleep = False
            if fault == "defect":
                engine.knobs.fault = "defect"
            return 200, {"status": "awake"}
        return None
