"""One engine process as the gateway knows it: where it is, how it is, what it has to do."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from gateway.settings import EngineSettings
from gateway.upstream import Pool

State = Literal["starting", "up", "down"]


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send: an address's pool, its name in messages, its Host header."""

    pool: Pool
    label: str
    host_header: bytes


class Address:
    """One engine process.

    ``since``: Unix time. ``in_flight``: what this gateway has sent it and not got back. ``limit``: how many that
    may be now, at most what the settings say.
    """

    def __init__(self, engine: EngineSettings, host: str, pool: Pool) -> None:
        self.engine = engine
        self.pool = pool
        self.label = f"{host}:{engine.port}" if ":" not in host else f"[{host}]:{engine.port}"
        self.target = Target(pool, f"engine '{engine.name}' at {self.label}", self.label.encode())
        self.state: State = "starting"
        self.reason = "not asked yet"
        self.since = time.time()
        self.models: frozenset[str] = frozenset()
        self.in_flight = 0
        self.limit = engine.max_running or engine.max_num_seqs
        self.silent_polls = 0

    def is_up(self, models: Iterable[str]) -> None:
        self.models = frozenset(models)
        self.silent_polls = 0
        self._become("up", "")

    def is_not_up(self, reason: str) -> None:
        self.models = frozenset()
        self._become("starting" if self.state == "starting" else "down", reason)

    def _become(self, state: State, reason: str) -> None:
        if state != self.state:
            self.since = time.time()
        self.state = state
        self.reason = reason
