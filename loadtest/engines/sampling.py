"""Starts the sampler's process, collects its lines, and joins them to stages by time."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any

_END_S = 3.0
_ASK_S = 3.0


@dataclass(frozen=True, slots=True)
class Sample:
    """All engines and process trees at one moment (`at`: perf_counter_ns). None is "not known", never 0.

    Sums over engines; of the KV shares the highest. A sum with an unknown part is unknown.
    """

    at: int
    running: float | None
    waiting: float | None
    kv_usage: float | None
    generation_tokens: float | None
    preemptions: float | None
    prefix_queries: float | None
    prefix_hits: float | None
    memory_bytes: float | None


@dataclass(frozen=True, slots=True)
class ServerMetrics:
    """What the engines showed during one stage. Peaks are of samples inside it; counters are exact over it."""

    samples: int
    kv_peak: float | None
    batch_peak: float | None
    waiting_peak: float | None
    memory_peak_bytes: float | None
    preemptions: float | None
    engine_tokens: float | None
    prefix_hit_ratio: float | None


def join(samples: Sequence[Sample], start: int, end: int) -> ServerMetrics:
    """The engines' numbers between two moments (perf_counter_ns). Pure."""
    inside = [sample for sample in samples if start <= sample.at <= end]
    before = max((s for s in samples if s.at <= start), key=lambda s: s.at, default=None)
    after = min((s for s in samples if s.at >= end), key=lambda s: s.at, default=None)

    def grown(name: str) -> float | None:
        first, last = getattr(before, name, None), getattr(after, name, None)
        return last - first if first is not None and last is not None and last >= first else None

    queries, hits = grown("prefix_queries"), grown("prefix_hits")
    return ServerMetrics(
        samples=len(inside),
        kv_peak=_peak(s.kv_usage for s in inside),
        batch_peak=_peak(s.running for s in inside),
        waiting_peak=_peak(s.waiting for s in inside),
        memory_peak_bytes=_peak(s.memory_bytes for s in inside),
        preemptions=grown("preemptions"),
        engine_tokens=grown("generation_tokens"),
        prefix_hit_ratio=hits / queries if queries and hits is not None else None,
    )


def read_sample(line: str | bytes) -> Sample:
    """One line of the sampler."""
    raw = json.loads(line)
    engines, trees = raw["engines"], raw["rss"]
    return Sample(
        at=raw["at"],
        running=_sum(engines, "running"),
        waiting=_sum(engines, "waiting"),
        kv_usage=_peak((engine or {}).get("kv_usage") for engine in engines),
        generation_tokens=_sum(engines, "generation_tokens"),
        preemptions=_sum(engines, "preemptions"),
        prefix_queries=_sum(engines, "prefix_queries"),
        prefix_hits=_sum(engines, "prefix_hits"),
        memory_bytes=_total(trees),
    )


def _sum(engines: Sequence[dict[str, Any] | None], name: str) -> float | None:
    return _total([(engine or {}).get(name) for engine in engines])


def _total(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _peak(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


class EngineSampling:
    """The sampler as a child process. Without addresses and pids it does nothing."""

    def __init__(self, urls: Sequence[str], pids: Sequence[int], interval: float) -> None:
        self._command = [sys.executable, "-m", "loadtest.engines.sampler", "--interval", str(interval)]
        for url in urls:
            self._command += ["--url", url]
        for pid in pids:
            self._command += ["--pid", str(pid)]
        self._idle = not (urls or pids)
        self._lines: list[bytes] = []
        self._asked = Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._reader = Thread(target=self._read, daemon=True)

    def start(self) -> None:
        if self._idle:
            return
        # A session of its own: Ctrl-C in a terminal goes to us alone, and we end it.
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(self._command, stdin=pipe, stdout=pipe, bufsize=0, start_new_session=True)
        self._reader.start()

    def ask(self) -> None:
        """Takes a sample now and waits for it, so that counters are exact at a stage's borders."""
        if self._process is None or self._process.stdin is None:
            return
        self._asked.clear()
        try:
            self._process.stdin.write(b"\n")
        except BrokenPipeError:
            return
        self._asked.wait(_ASK_S)

    def stop(self) -> list[Sample]:
        """Ends the process, by its pid if need be, and returns all samples."""
        process = self._process
        if process is not None and process.stdin is not None:
            process.stdin.close()
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            self._reader.join(_END_S)
            if process.stdout is not None:
                process.stdout.close()
            self._process = None
        return [read_sample(line) for line in self._lines]

    def _read(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line)
            if b'"asked":true' in line:
                self._asked.set()
