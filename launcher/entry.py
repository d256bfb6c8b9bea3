"""One model of the card: what state its engine is in, and what is known of it."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from typing import Any

from launcher.config import CommandedModel
from launcher.engine_api import EngineApi
from launcher.engine_log import EngineLog
from launcher.engine_process import EngineProcess, digest_of

LOADS = 20
# The card is theirs.
AWAKE = frozenset({"starting", "ready", "waking", "stopping"})


class Entry:
    """``exit``: of the last process that ended; ``why``: of the state; ``faults``: failed starts, sleeps and wakes."""

    def __init__(self, model: CommandedModel, log: EngineLog) -> None:
        self.model = model
        self.log = log
        self.digest = digest_of(model)
        self.api = EngineApi(model.listen, "")
        self.state = "stopped"
        self.since = time.time()
        self.process: EngineProcess | None = None
        self.exit: int | None = None
        self.why = ""
        self.loads: deque[dict[str, Any]] = deque(maxlen=LOADS)
        self.faults: Counter[str] = Counter()
        self.stop_asked = threading.Event()

    def become(self, state: str, why: str = "") -> None:
        if state != self.state:
            self.since = time.time()
        self.state, self.why = state, why

    def told(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "state": self.state,
            "since": self.since,
            "pid": None if self.process is None else self.process.running.pid,
            "exit": self.exit,
            "why": self.why,
            "cause": self.log.cause,
            "log": list(self.log.tail),
            "loads": list(self.loads),
            "faults": dict(self.faults),
        }
