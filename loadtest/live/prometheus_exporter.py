"""The board as Prometheus metrics: on the web UI's port, or on a port of its own during `run` and `compare`.

A stage's series are there while it runs and vanish when it ends, so that a query for them is a Grafana annotation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from threading import Thread
from typing import TYPE_CHECKING, TextIO
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, exposition, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector as Registrable

from loadtest.analysis.histogram import LatencyHistogram
from loadtest.analysis.metrics import ClientMetrics
from loadtest.core.errors import UsageProblem
from loadtest.live.board import Board, Collector
from loadtest.live.host_check import authority
from loadtest.runner.progress import RunProgress
from loadtest.runner.stage import Stage
from loadtest.workload.arrivals import StagePlan

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

CONTENT_TYPE = exposition.CONTENT_TYPE_LATEST
_PAUSE_S = 0.001  # what a look at finished requests may take of the client's loop, ten times a second


class _Families(Registrable):
    def __init__(self, board: Board, users: Callable[[], int]) -> None:
        self._board = board
        self._users = users

    def collect(self) -> Iterable[Metric]:
        board, total = self._board, self._board.total
        yield GaugeMetricFamily("loadtest_users", "Simulated users that are alive.", value=self._users())
        requests = CounterMetricFamily("loadtest_requests", "Requests that have ended, by outcome.", labels=["outcome"])
        for outcome, count in sorted(total.outcomes.items()):
            requests.add_metric([outcome], count)
        yield requests
        yield CounterMetricFamily("loadtest_output_tokens", "Output tokens of good answers.", value=total.tokens)
        yield _histogram("loadtest_time_to_first_token_seconds", "Send to first text, good answers.", total.ttft)
        yield _histogram("loadtest_inter_token_latency_seconds", "Gap before each token, good answers.", total.itl)
        yield from _stage(board)


def _histogram(name: str, text: str, histogram: LatencyHistogram) -> HistogramMetricFamily:
    return HistogramMetricFamily(name, text, buckets=histogram.buckets(), sum_value=histogram.sum)


def _stage(board: Board) -> Iterable[Metric]:
    info = GaugeMetricFamily(
        "loadtest_stage_info", "1 while the stage runs.", labels=["run", "stage", "users", "workload"]
    )
    started = GaugeMetricFamily(
        "loadtest_stage_started_timestamp_seconds", "When the stage began, Unix time.", labels=["run", "stage", "users"]
    )
    running = board.running
    if running is not None:
        labels = [board.run, str(running.number), str(running.users)]
        info.add_metric([*labels, board.workload], 1)
        started.add_metric(labels, running.began)
    yield from (info, started)


def registry(board: Board, users: Callable[[], int]) -> CollectorRegistry:
    made = CollectorRegistry()
    made.register(_Families(board, users))
    return made


def text(made: CollectorRegistry) -> bytes:
    """The exposition format."""
    return exposition.generate_latest(made)


class Exporter(RunProgress):
    """Progress that is also told to Prometheus. Requests count when they are seen to have ended, at most 0.1 s later;
    when more end than there is time for, the rest counts at the end of the stage."""

    def __init__(self, stream: TextIO, sides: bool = False, *, board: Board) -> None:
        super().__init__(stream, sides)
        self._board = board
        self._workload = board.workload
        self._collector = Collector()
        self._seen = 0
        self._users = 0

    @property
    def users(self) -> int:
        return self._users

    def stage_begins(self, stage: Stage, of: int) -> None:
        super().stage_begins(stage, of)
        self._seen = 0

    def tick(self, stage: Stage) -> None:
        super().tick(stage)
        self._look(stage, _PAUSE_S)

    def stage_ends(self, stage: Stage, client: ClientMetrics) -> None:
        self._look(stage, None)
        self._board.end()
        self._users = 0
        super().stage_ends(stage, client)

    def _look(self, stage: Stage, seconds: float | None) -> None:
        if not stage.released:
            return
        if self._board.running is None:
            self._users = _users(stage.plan)
            self._board.workload = f"{self._workload}, {stage.plan.side}" if self._sides else self._workload
            self._board.stage(self._users)
        for record in stage.records[self._seen :]:
            self._collector.note(record)
        self._seen = len(stage.records)
        self._collector.absorb(seconds)
        self._board.merge(self._collector.take())


def _users(plan: StagePlan) -> int:
    """0 for an open loop, which has arrivals and no users."""
    return plan.users or 0


def serve(board: Board, users: Callable[[], int], port: int) -> Callable[[], None]:
    """Answers scrapes on loopback; the function that ends it. UsageProblem when the port is taken."""
    app = _told_only(make_wsgi_app(registry(board, users)))
    try:
        server = make_server("127.0.0.1", port, app, _Server, _Quiet)
    except OSError as error:
        raise UsageProblem(f"--export-port {port}: {(error.strerror or str(error)).lower()}") from error
    thread = Thread(target=server.serve_forever, daemon=True, name="metrics")
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Scrapes are no news."""


def _told_only(app: WSGIApplication) -> WSGIApplication:
    """Loopback names and addresses alone: a page of another site can point its own name at this machine, not these."""

    def guarded(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        asked = authority(environ.get("HTTP_HOST"))
        if asked is not None and (asked.is_loopback or asked.is_address):
            return app(environ, start)
        start("403 Forbidden", [("Content-Type", "text/plain; charset=utf-8")])
        return [b"this port answers to localhost and to addresses, not to other names\n"]

    return guarded
