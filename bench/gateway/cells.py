"""The cells of the bench: what is measured of each gateway in each round, and how."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from bench.gateway.processes import Foreign, LoadedServer
from bench.gateway.programs import Counts, Mock, Programs, Streams

# A cell in which others had more than this share of the machine is noisy: repeated, while there is time for that, and
# marked if it stays so.
MAX_FOREIGN = 0.15
TRIES = 3
TOKENS_WHOLE, TOKENS_STREAM, ITL_MS = 64, 128, 20.0
GRACE_S = 1.5
ALL = ("c50", "c1", "paced", "step")

# Figure -> value, and always "foreign".
CellFigures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Size:
    """How much of it. ``repeat_s``: what a round may spend on repeating noisy cells."""

    closed_s: float = 2.0
    single_s: float = 0.7
    connections: int = 50
    streams: int = 256
    turns: int = 2
    ramp_s: float = 1.0
    repeat_s: float = 30.0

    def limit_s(self, turns: int) -> float:
        return self.ramp_s + turns * TOKENS_STREAM * ITL_MS / 1000 + GRACE_S


QUICK = Size(closed_s=1.0, single_s=0.4, streams=256, turns=1, repeat_s=0)


class Bench:
    """Measures targets against one mock."""

    def __init__(self, programs: Programs, mock: Mock, size: Size) -> None:
        self._programs = programs
        self._mock = mock
        self._size = size
        self._repeat_s = 0.0

    def begin_round(self) -> None:
        """Give the time for repeating anew."""
        self._repeat_s = self._size.repeat_s

    def cells(self, target: LoadedServer, only: Collection[str] = ALL) -> dict[str, CellFigures]:
        """The cells of one target; one that a gateway did not survive is missing."""
        kinds: dict[str, Callable[[LoadedServer], CellFigures]] = {
            "c50": self._c50, "c1": self._c1, "paced": self._paced, "step": self._step,
        }  # fmt: skip
        found = {name: self._least_noisy(target, kind) for name, kind in kinds.items() if name in only}
        return {name: cell for name, cell in found.items() if cell}

    def _least_noisy(self, target: LoadedServer, kind: Callable[[LoadedServer], CellFigures]) -> CellFigures:
        best: CellFigures = {}
        for number in range(TRIES):
            began = time.monotonic()
            target.calm_down()
            foreign = Foreign([self._mock.process, *target.involved()])
            cell = kind(target)
            if not cell:
                return best
            cell["foreign"] = foreign.share()
            best = min((best or cell, cell), key=lambda one: one["foreign"])
            if number:
                self._repeat_s -= time.monotonic() - began
            if best["foreign"] <= MAX_FOREIGN or self._repeat_s <= 0:
                break
        return best

    def _c50(self, target: LoadedServer) -> CellFigures:
        """Requests/s in a closed loop, and CPU for each that the mock served."""
        size = self._size
        counts, spent = self._spending(
            target, lambda: self._programs.whole(target.port, TOKENS_WHOLE, size.connections, size.closed_s)
        )
        if counts is None or not counts.good:
            return {}
        return {
            "rps": counts.good / counts.seconds,
            "failed": counts.failed,
            "cpu_ms": spent.cpu_s / spent.requests * 1e3,
        }

    def _c1(self, target: LoadedServer) -> CellFigures:
        counts = self._programs.whole(target.port, TOKENS_WHOLE, 1, self._size.single_s)
        return {"p50_ms": counts.first_p50} if counts and counts.good else {}

    def _paced(self, target: LoadedServer) -> CellFigures:
        self._mock.pace(ITL_MS)
        return self._streams(target, self._size.turns)

    def _step(self, target: LoadedServer) -> CellFigures:
        """All streams' tokens on one tick, as an engine's batch step sends them."""
        self._mock.pace(ITL_MS, step=True)
        return self._streams(target, 1)

    def _streams(self, target: LoadedServer, turns: int) -> CellFigures:
        size = self._size
        shape = Streams(size.streams, turns, size.ramp_s, size.limit_s(turns))
        counts, spent = self._spending(target, lambda: self._programs.streams(target.port, TOKENS_STREAM, shape))
        if counts is None or not spent.events:
            return {}
        return {
            "cpu_us": spent.cpu_s / spent.events * 1e6,
            # Some gateways add events of their own; a stream is whole when it has all of the engine's.
            "delivered": min(1.0, counts.events / (size.streams * turns * TOKENS_STREAM)),
            "failed": counts.failed,
            "ttft_p50_ms": counts.first_p50,
            "ttft_p99_ms": counts.first_p99,
            "gap_p99_ms": counts.gap_p99,
        }

    def _spending(self, target: LoadedServer, load: Callable[[], Counts | None]) -> tuple[Counts | None, Spent]:
        cpu_before, sent_before = target.cpu_s(), self._mock.sent()
        counts = load()
        cpu_after, sent_after = target.cpu_s(), self._mock.sent()
        requests, events = (after - before for after, before in zip(sent_after, sent_before, strict=True))
        return counts, Spent(cpu_after - cpu_before, requests, events)


@dataclass(frozen=True, slots=True)
class Spent:
    """CPU seconds of the gateway, and what the mock sent in that time."""

    cpu_s: float
    requests: int
    events: int
