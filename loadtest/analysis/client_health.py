"""Client health: a 10 ms ticker, CPU share and lateness say whether the client is fast enough to be believed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import NamedTuple

from loadtest.analysis.metrics import NS_PER_MS, ClientMetrics, percentile
from loadtest.client.record import Record

TICK_S = 0.01
LAG_FLOOR_MS = 2.0
LAG_SHARE = 0.02
CPU_LIMIT = 0.8
# A client that is busy for the few milliseconds that its whole stage takes is not short of a core.
SHARE_FROM_S = 10 * TICK_S


class Pace(NamedTuple):
    """Of one client process in one stage: 99th percentile of the ticker's lag in ms, share of one core used.

    The share is None of a stage too short to tell.
    """

    lag_p99_ms: float | None
    cpu_share: float | None


NOT_MEASURED = Pace(None, None)


@dataclass(frozen=True, slots=True)
class ProcessHealth:
    """One of several client processes; the same numbers as those of the whole client."""

    lag_p99_ms: float | None
    dispatch_p99_ms: float | None
    cpu_share: float | None


@dataclass(frozen=True, slots=True)
class ClientHealth:
    """How late the client was. `lag`: of a 10 ms ticker; `dispatch`: turned to a request after its intended start.

    `cpu_share` is of one core. `reasons` say why the stage is invalid. Of several processes it is the worst's lag and
    share, and `processes` has them one by one.
    """

    lag_p99_ms: float | None
    lag_limit_ms: float
    dispatch_p99_ms: float | None
    cpu_share: float | None
    reasons: list[str]
    dispatch_limit_ms: float = 0.0
    processes: list[ProcessHealth] = field(default_factory=list)

    @property
    def valid(self) -> bool:
        return not self.reasons


class LagMonitor:
    """Sleeps 10 ms again and again and notes by how much it overslept. Under Locust its thread is a greenlet."""

    def __init__(self) -> None:
        self._lags: list[float] = []
        self._stop = Event()
        self._thread = Thread(target=self._tick, daemon=True)
        self._cpu = self._wall = 0.0

    def start(self) -> None:
        self._cpu, self._wall = time.process_time(), time.perf_counter()
        self._thread.start()

    def stop(self) -> Pace:
        cpu, wall = time.process_time() - self._cpu, time.perf_counter() - self._wall
        self._stop.set()
        self._thread.join()
        return Pace(percentile(sorted(self._lags), 0.99), cpu / wall if wall >= SHARE_FROM_S else None)

    def _tick(self) -> None:
        while not self._stop.is_set():
            before = time.perf_counter()
            time.sleep(TICK_S)
            self._lags.append(max(0.0, (time.perf_counter() - before - TICK_S) * 1000))


def judge_client(
    paces: Sequence[Pace],
    records: Sequence[Record],
    client: ClientMetrics,
    max_lag_ms: float | None = None,
) -> ClientHealth:
    """Invalid when the client's own lag could be read as the server's: by default 2 ms or 2 % of the median TTFT.

    Late dispatch lengthens the stage, not the latencies, so it may be 2 % of the median answer. Of several processes
    none may be late: user or arrival number N is sent by process N modulo their count.
    """
    count = len(paces)
    found = [
        ProcessHealth(pace.lag_p99_ms, _dispatch([r for r in records if r.user % count == number]), pace.cpu_share)
        for number, pace in enumerate(paces)
    ]
    lag_limit = max_lag_ms or max(LAG_FLOOR_MS, LAG_SHARE * client.ttft_ms.p50 if client.ttft_ms else 0.0)
    dispatch_limit = max(lag_limit, LAG_SHARE * client.e2e_ms.p50 if client.e2e_ms else 0.0)
    reasons: list[str] = []
    for number, one in enumerate(found, start=1):
        called = "the client" if count == 1 else f"client process {number}"
        reasons += _reasons(called, one, lag_limit, dispatch_limit)
    return ClientHealth(
        lag_p99_ms=_worst(one.lag_p99_ms for one in found),
        lag_limit_ms=lag_limit,
        dispatch_p99_ms=_dispatch(records),
        cpu_share=_worst(one.cpu_share for one in found),
        reasons=reasons,
        dispatch_limit_ms=dispatch_limit,
        processes=found if count > 1 else [],
    )


def _dispatch(records: Sequence[Record]) -> float | None:
    return percentile(sorted(record.lateness / NS_PER_MS for record in records), 0.99)


def _worst(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _reasons(called: str, one: ProcessHealth, lag_limit: float, dispatch_limit: float) -> Iterator[str]:
    lag, dispatch, cpu = one.lag_p99_ms, one.dispatch_p99_ms, one.cpu_share
    if lag is not None and lag > lag_limit:
        yield f"{called}'s loop was {lag:.1f} ms late at p99 (limit {lag_limit:.1f} ms)"
    if dispatch is not None and dispatch > dispatch_limit:
        yield f"requests left {called} {dispatch:.1f} ms late at p99 (limit {dispatch_limit:.1f} ms)"
    if cpu is not None and cpu > CPU_LIMIT:
        yield f"{called} used {cpu:.0%} of its core (limit {CPU_LIMIT:.0%})"
