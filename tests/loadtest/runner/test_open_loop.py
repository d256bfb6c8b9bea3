"""The open loop sees a stall that the closed loop hides, and the client's own lateness is told apart from it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.loadtest.answers import asked
from tests.loadtest.programs import fake_engine, loadtest, quick, read_report, turn, under_locust

if TYPE_CHECKING:
    from loadtest.runner.stage import Stage


def run_stage(url: str, starts: list[float], disturb: str, stop_after: int = 0) -> dict[str, Any]:
    """Under Locust: arrivals at these seconds. `disturb`: the server stalls for 1.2 s, or the client is held up."""
    from threading import Event

    from loadtest.analysis.client_health import judge_client
    from loadtest.analysis.metrics import summarise
    from loadtest.client.connection import server_at
    from loadtest.engines.sampler import scrape
    from loadtest.runner.stage import Stage, StageWork
    from loadtest.runner.stages import StageGate, StageRunner
    from loadtest.workload.arrivals import StagePlan

    stop, done = Event(), [False]

    def tick(stage: Stage) -> None:
        if stage.released and len(stage.records) >= 2 and not done[0]:
            done[0] = True
            if disturb == "server":
                turn(url, fault="stall", for_s=1.2)
            if disturb == "client":
                busy_until = time.perf_counter() + 0.4
                while time.perf_counter() < busy_until:
                    pass
        if stop_after and len(stage.records) >= stop_after:
            stop.set()

    plan = StagePlan(1, 1, 1, "server", "open", rate=(9, 9), seconds=3)
    stage = Stage(plan, StageWork("1", warmup=1, starts=starts))
    runner = StageRunner((server_at(url, None),), asked(nonce="open"), stop, StageGate(lambda: None))
    finished = runner.run_stage(stage, tick)
    client = summarise(stage.records, stage.released)
    health = judge_client(finished.pace, stage.records, client)
    running = 1.0
    for _ in range(50):
        running = (scrape(f"{url}/metrics") or {}).get("running") or 0.0
        if not running:
            break
        time.sleep(0.1)
    runner.close()
    return {
        "plans": [record.plan - stage.released for record in stage.records],
        "lived": [((record.answer.first or 0) - record.plan) / 1e6 for record in stage.records],
        "late": [record.lateness / 1e6 for record in stage.records],
        "outcomes": [str(record.outcome) for record in stage.records],
        "complete": stage.complete, "peak": client.in_flight_peak, "reasons": health.reasons, "running": running,
    }  # fmt: skip


STARTS = [number / 10 for number in range(1, 26)]


@pytest.fixture(scope="module")
def stalled() -> dict[str, Any]:
    with fake_engine(ttft_ms=20, itl_ms=2) as (url, _):
        found: dict[str, Any] = under_locust(run_stage, url, STARTS, "server")
    return found


def test_every_request_leaves_at_its_intended_start(stalled: dict[str, Any]) -> None:
    assert sorted(stalled["plans"]) == [int(start * 1e9) for start in STARTS]
    assert (stalled["complete"], set(stalled["outcomes"])) == (True, {"ok"})
    assert all(late >= 0 for late in stalled["late"])


def test_a_stall_makes_all_those_late_that_came_meanwhile(stalled: dict[str, Any]) -> None:
    """1.2 s at ten a second: a closed loop of one user would have seen a single late answer."""
    assert sum(lived > 200 for lived in stalled["lived"]) >= 6
    assert max(stalled["lived"]) > 800
    assert stalled["peak"] >= 6


def test_a_client_that_was_held_up_is_noticed_and_not_taken_for_the_server() -> None:
    with fake_engine(ttft_ms=20, itl_ms=2) as (url, _):
        found = under_locust(run_stage, url, STARTS[:15], "client")
    assert max(found["late"]) > 100
    assert any("left the client" in reason for reason in found["reasons"])


def test_a_stop_ends_what_is_under_way() -> None:
    with fake_engine(ttft_ms=300, itl_ms=100) as (url, _):
        found = under_locust(run_stage, url, STARTS, "nothing", 2)
    assert not found["complete"] and len(found["outcomes"]) < 25
    assert found["running"] == 0


def test_an_open_run_and_a_ramp_are_reported_with_their_rates(engine: tuple[str, int], tmp_path: Path) -> None:
    words = {"seconds": 2, "warmup": 1, "users": "1"}
    first = loadtest(*quick(engine[0], tmp_path / "open", mode="open", rates="6,12", **words))
    second = loadtest(*quick(engine[0], tmp_path / "ramp", mode="ramp", rates="1,20", **words))
    assert (first.returncode, second.returncode) == (0, 0), first.stdout + second.stdout
    stages = read_report(tmp_path / "open")["stages"] + read_report(tmp_path / "ramp")["stages"]
    assert [stage["label"] for stage in stages] == ["6/s", "12/s", "1 to 20/s"]
    for stage in stages:
        assert (stage["users"], stage["requests_per_user"], stage["seconds"]) == (None, None, 2)
        assert stage["planned"] == stage["client"]["good"] > 0
        assert stage["client"]["ttft_from_plan_ms"]["p50"] >= stage["client"]["ttft_ms"]["p50"] >= 39
