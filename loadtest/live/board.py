"""Numbers while a test runs: requests become slices of one second each, and slices of all processes become a board.

A token belongs to the second in which it was read, not to the end of its answer; so the last seconds before now are not
whole until the answers that are under way have ended.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from loadtest.analysis.histogram import LatencyHistogram, merged
from loadtest.client.record import Record
from loadtest.client.token_counts import between, tokens_of

KEPT_S = 3600  # seconds of the past that the board can draw
_NS = 1e9


@dataclass(slots=True)
class Slice:
    """One second. `tokens` may be a fraction: a server's chunk holds usage ÷ chunks tokens."""

    tokens: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    ttft: LatencyHistogram = field(default_factory=LatencyHistogram)
    itl: LatencyHistogram = field(default_factory=LatencyHistogram)

    def merge(self, other: Slice) -> None:
        self.tokens += other.tokens
        self.outcomes.update(other.outcomes)
        self.ttft.merge(other.ttft)
        self.itl.merge(other.itl)

    def pack(self) -> list[Any]:
        return [self.tokens, dict(self.outcomes), self.ttft.pack(), self.itl.pack()]

    @classmethod
    def unpack(cls, packed: Sequence[Any]) -> Slice:
        tokens, outcomes, ttft, itl = packed
        return cls(float(tokens), Counter(outcomes), LatencyHistogram.unpack(ttft), LatencyHistogram.unpack(itl))


class Collector:
    """Takes finished requests at the cost of an append, and works them off when there is time."""

    def __init__(self) -> None:
        self._waiting: deque[Record] = deque()
        self._slices: dict[int, Slice] = {}
        self._epoch = time.time() - time.perf_counter_ns() / _NS

    def note(self, record: Record) -> None:
        self._waiting.append(record)

    def absorb(self, seconds: float | None = None) -> None:
        """Works for at most `seconds` (None: until nothing waits): a long pause would be read as the server's."""
        end = None if seconds is None else time.perf_counter() + seconds
        while self._waiting and (end is None or time.perf_counter() < end):
            self._take_in(self._waiting.popleft())

    def take(self) -> dict[int, Slice]:
        """What was absorbed since the last time, by Unix second."""
        taken, self._slices = self._slices, {}
        return taken

    def _at(self, moment: int) -> Slice:
        return self._slices.setdefault(int(self._epoch + moment / _NS), Slice())

    def _take_in(self, record: Record) -> None:
        self._at(record.end).outcomes[str(record.outcome)] += 1
        answer = record.answer
        if not record.ok or answer.first is None or not answer.events:
            return
        found = tokens_of(answer)
        first = self._at(answer.first)
        first.ttft.add((answer.first - record.send) / _NS)
        first.tokens += found.first
        here, moment = first, answer.first
        second_ends = self._second_ends(moment)
        for (gap, tokens), (value, count) in zip(found.gaps, between(found.gaps), strict=True):
            moment += gap
            if moment >= second_ends:
                here, second_ends = self._at(moment), self._second_ends(moment)
            here.tokens += tokens
            if count:
                here.itl.add(value / _NS, count)

    def _second_ends(self, moment: int) -> int:
        """When the second of a moment is over, on the clock of the records."""
        return int((int(self._epoch + moment / _NS) + 1 - self._epoch) * _NS)


@dataclass(slots=True)
class LiveStage:
    """A stretch of the run with the same number of users. Unix seconds; `ended` is None while it runs."""

    number: int
    users: int
    began: float
    ended: float | None = None
    whole: Slice = field(default_factory=Slice)


class Board:
    """All that is known of the run by now. Totals never fall, also when a new run begins: they are counters."""

    def __init__(self) -> None:
        self.run = ""
        self.workload = ""
        self.stages: list[LiveStage] = []
        self.total = Slice()
        self._seconds: dict[int, Slice] = {}

    def begin(self, run: str, workload: str) -> None:
        """A new run: its stages and its past are empty."""
        self.run, self.workload = run, workload
        self.stages, self._seconds = [], {}

    def stage(self, users: int, at: float | None = None) -> None:
        """Another number of users; nothing changes when it is the same as before."""
        running = self.running
        if running is not None and running.users == users:
            return
        self.end(at)
        self.stages.append(LiveStage(len(self.stages) + 1, users, time.time() if at is None else at))

    def end(self, at: float | None = None) -> None:
        if self.running is not None:
            self.running.ended = time.time() if at is None else at

    @property
    def running(self) -> LiveStage | None:
        return self.stages[-1] if self.stages and self.stages[-1].ended is None else None

    def merge(self, slices: Mapping[int, Slice]) -> None:
        for second, one in slices.items():
            self.total.merge(one)
            self._seconds.setdefault(second, Slice()).merge(one)
            stage = next((stage for stage in reversed(self.stages) if stage.began < second + 1), None)
            if stage is not None:
                stage.whole.merge(one)
        while len(self._seconds) > KEPT_S:
            del self._seconds[min(self._seconds)]

    def series(self, width: int = 5, now: float | None = None) -> list[dict[str, float | None]]:
        """Stretches of `width` seconds since the first stage began, milliseconds and tokens per second."""
        if not self.stages:
            return []
        begin = int(self.stages[0].began)
        last = self.stages[-1].ended or (time.time() if now is None else now)
        begin = max(begin, int(last) - KEPT_S)
        return [self._stretch(at, width, begin) for at in range(begin, int(last) - width + 2, width)]

    def _stretch(self, at: int, width: int, begin: int) -> dict[str, float | None]:
        inside = [one for second in range(at, at + width) if (one := self._seconds.get(second)) is not None]
        ttft, itl = merged(one.ttft for one in inside), merged(one.itl for one in inside)
        running = next((stage for stage in reversed(self.stages) if stage.began < at + width), self.stages[0])
        return {
            "at_s": at - begin,
            "users": running.users,
            "tokens_per_s": sum(one.tokens for one in inside) / width,
            "ttft_p50_ms": _ms(ttft, 0.5),
            "ttft_p95_ms": _ms(ttft, 0.95),
            "itl_p50_ms": _ms(itl, 0.5),
            "itl_p95_ms": _ms(itl, 0.95),
        }

    def table(self, now: float | None = None) -> list[dict[str, Any]]:
        """A row for each stage: milliseconds, tokens per second."""
        return [_row(stage, time.time() if now is None else now) for stage in self.stages]


def _row(stage: LiveStage, now: float) -> dict[str, Any]:
    whole = stage.whole
    seconds = max(1e-9, (stage.ended or now) - stage.began)
    return {
        "stage": stage.number,
        "users": stage.users,
        "seconds": round(seconds, 1),
        "answers": whole.outcomes["ok"],
        "failures": whole.outcomes.total() - whole.outcomes["ok"],
        "tokens_per_s": round(whole.tokens / seconds, 1),
        **{f"ttft_p{q}": _ms(whole.ttft, q / 100) for q in (50, 95, 99)},
        **{f"itl_p{q}": _ms(whole.itl, q / 100) for q in (50, 95, 99)},
    }


def _ms(histogram: LatencyHistogram, q: float) -> float | None:
    value = histogram.quantile(q)
    return None if value is None else round(value * 1000, 2)
