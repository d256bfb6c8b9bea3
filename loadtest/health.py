"""Is the client itself fast enough to be believed? A 10 ms ticker, its CPU share, and how late it sends."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event, Thread

from loadtest.metrics import NS_PER_MS, ClientMetrics, percentile
from loadtest.record import Record

TICK_S = 0.01
LAG_FLOOR_MS = 2.0
LAG_SHARE = 0.02
CPU_LIMIT = 0.8


@dataclass(frozen=True, slots=True)
class ClientHealth:
    """How late the client was. `lag`: of a 10 ms ticker; `dispatch`: turned to a request after its intended start.

    `cpu_share` is of one core. `reasons` say why the stage is invalid.
    """

    lag_p99_ms: float | None
    lag_limit_ms: float
    dispatch_p99_ms: float | None
    cpu_share: float | None
    reasons: list[str]
    dispatch_limit_ms: float = 0.0

    @property
    def valid(self) -> bool:
        return not self.reasons


class Ticker:
    """Sleeps 10 ms again and again and notes by how much it overslept. Under Locust its thread is a greenlet."""

    def __init__(self) -> None:
        self._lags: list[float] = []
        self._stop = Event()
        self._thread = Thread(target=self._tick, daemon=True)
        self._cpu = self._wall = 0.0

    def start(self) -> None:
        self._cpu, self._wall = time.process_time(), time.perf_counter()
        self._thread.start()

    def stop(self) -> tuple[float | None, float | None]:
        """(99th percentile of the lag in ms, share of one core used)."""
        cpu, wall = time.process_time() - self._cpu, time.perf_counter() - self._wall
        self._stop.set()
        self._thread.join()
        return percentile(sorted(self._lags), 0.99), cpu / wall if wall > 0 else None

    def _tick(self) -> None:
        while not self._stop.is_set():
            before = time.perf_counter()
            time.sleep(TICK_S)
            self._lags.append(max(0.0, (time.perf_counter() - before - TICK_S) * 1000))


def judge_client(
    ticker: tuple[float | None, float | None],
    records: Sequence[Record],
    client: ClientMetrics,
    max_lag_ms: float | None = None,
) -> ClientHealth:
    """Invalid when the client's own lag could be read as the server's: by default 2 ms or 2 % of the median TTFT.

    Late dispatch lengthens the stage, not the latencies, so it may be 2 % of the median answer.
    """
    lag, cpu = ticker
    delays = sorted(record.lateness / NS_PER_MS for record in records)
    dispatch = percentile(delays, 0.99)
    lag_limit = max_lag_ms or max(LAG_FLOOR_MS, LAG_SHARE * client.ttft_ms.p50 if client.ttft_ms else 0.0)
    dispatch_limit = max(lag_limit, LAG_SHARE * client.e2e_ms.p50 if client.e2e_ms else 0.0)
    reasons = []
    if lag is not None and lag > lag_limit:
        reasons.append(f"the client's loop was {lag:.1f} ms late at p99 (limit {lag_limit:.1f} ms)")
    if dispatch is not None and dispatch > dispatch_limit:
        reasons.append(f"requests left the client {dispatch:.1f} ms late at p99 (limit {dispatch_limit:.1f} ms)")
    if cpu is not None and cpu > CPU_LIMIT:
        reasons.append(f"the client used {cpu:.0%} of its core (limit {CPU_LIMIT:.0%})")
    return ClientHealth(lag, lag_limit, dispatch, cpu, reasons, dispatch_limit)
