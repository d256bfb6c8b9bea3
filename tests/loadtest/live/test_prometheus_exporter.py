"""What Prometheus is told: the names the dashboards use, and stages that are there only while they run."""

from __future__ import annotations

import http.client
import io
import time
import urllib.request
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from loadtest.analysis.metrics import summarise
from loadtest.core.errors import UsageProblem
from loadtest.live import prometheus_exporter
from loadtest.live.board import Board
from loadtest.runner.stage import Stage, StageWork
from loadtest.workload.arrivals import StagePlan
from tests.loadtest.answers import MS, failed, good

Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


def values(text: str) -> Values:
    families = text_string_to_metric_families(text)
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def scraped(board: Board, users: int = 0) -> Values:
    return values(prometheus_exporter.text(prometheus_exporter.registry(board, lambda: users)).decode())


def value(found: Values, name: str, **labels: str) -> float | None:
    return found.get((name, frozenset(labels.items())))


@pytest.fixture
def finished() -> tuple[Board, Stage, prometheus_exporter.Exporter, io.StringIO]:
    """A stage of two users with three good answers and a refused one, seen by the exporter but not yet ended."""
    board, stream = Board(), io.StringIO()
    board.begin("r1", "seed")
    exporter = prometheus_exporter.Exporter(stream, board=board)
    stage = Stage(StagePlan(1, 1, 1, "server", "closed", 2, 2), StageWork("1", planned=4))
    exporter.stage_begins(stage, 1)
    exporter.tick(stage)
    assert board.running is None  # warming up
    stage.release()
    begin = time.perf_counter_ns() / MS
    stage.records += [good(begin, begin + 100, [(20, 1)] * 9) for _ in range(3)] + [failed(begin, begin)]
    while scraped(board) and len(stage.records) != sum(board.total.outcomes.values()):
        exporter.tick(stage)
    return board, stage, exporter, stream


def test_a_running_stage_is_there_with_its_start(
    finished: tuple[Board, Stage, prometheus_exporter.Exporter, io.StringIO],
) -> None:
    board, _, exporter, _ = finished
    found = scraped(board, exporter.users)
    assert value(found, "loadtest_stage_info", run="r1", stage="1", users="2", workload="seed") == 1
    started = value(found, "loadtest_stage_started_timestamp_seconds", run="r1", stage="1", users="2")
    assert started == pytest.approx(time.time(), abs=30)
    assert value(found, "loadtest_users") == 2


def test_requests_tokens_and_times_are_counted(
    finished: tuple[Board, Stage, prometheus_exporter.Exporter, io.StringIO],
) -> None:
    found = scraped(finished[0])
    assert value(found, "loadtest_requests_total", outcome="ok") == 3
    assert value(found, "loadtest_requests_total", outcome="cut") == 1
    assert value(found, "loadtest_output_tokens_total") == pytest.approx(30)
    ttft, itl = "loadtest_time_to_first_token_seconds", "loadtest_inter_token_latency_seconds"
    assert value(found, f"{ttft}_count") == 3 and value(found, f"{ttft}_sum") == pytest.approx(0.3)
    assert value(found, f"{ttft}_bucket", le="0.1") == 3 and value(found, f"{ttft}_bucket", le="0.08") == 0
    assert value(found, f"{itl}_count") == 27 and value(found, f"{itl}_bucket", le="0.02") == 27


def test_an_ended_stage_is_gone_and_its_numbers_stay(
    finished: tuple[Board, Stage, prometheus_exporter.Exporter, io.StringIO],
) -> None:
    board, stage, exporter, stream = finished
    exporter.stage_ends(stage, summarise(stage.records, stage.released))
    found = scraped(board, exporter.users)
    assert not [name for name, _ in found if name.startswith("loadtest_stage_")]
    assert value(found, "loadtest_requests_total", outcome="ok") == 3 and value(found, "loadtest_users") == 0
    assert "stage 1/1: 2 users" in stream.getvalue()


def test_a_name_that_another_site_points_at_us_is_not_answered(free_port: Callable[[], int]) -> None:
    port = free_port()
    stop = prometheus_exporter.serve(Board(), lambda: 7, port)
    statuses = {}
    try:
        for host in (
            f"localhost:{port}",
            f"127.0.0.1:{port}",
            "172.17.0.1:9",
            "[::1]",
            "evil.example",
            f"a.b:{port}",
            "<x>",
        ):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/metrics", headers={"Host": host})
            statuses[host] = connection.getresponse().status
            connection.close()
    finally:
        stop()
    assert list(statuses.values()) == [200, 200, 200, 200, 403, 403, 403], statuses


def test_it_is_served_on_loopback_until_it_is_stopped(free_port: Callable[[], int]) -> None:
    board, port = Board(), free_port()
    board.begin("r1", "seed")
    stop = prometheus_exporter.serve(board, lambda: 7, port)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            assert value(values(answer.read().decode()), "loadtest_users") == 7
        with pytest.raises(UsageProblem, match="--export-port .* in use"):
            prometheus_exporter.serve(board, lambda: 0, port)
    finally:
        stop()
    with pytest.raises(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=2)
