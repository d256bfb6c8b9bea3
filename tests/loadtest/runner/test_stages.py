"""Stages run by Locust's runner against the fake engine. Locust patches the process, so each run has its own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.loadtest.answers import asked, closed
from tests.loadtest.programs import under_locust

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadtest.runner.stage import Stage


def run_stage(
    url: str, stages: list[tuple[int, int, int]], tick: Callable[[Stage], None], stop: object = None
) -> list[Any]:
    """Under Locust: one runner; of each stage plain values, its borders, and what the engine runs after it."""
    from threading import Event

    from loadtest.client.connection import server_at
    from loadtest.runner.stages import StageGate, StageRunner

    borders: list[int] = []
    event = stop if isinstance(stop, Event) else Event()
    gate = StageGate(lambda: borders.append(time.perf_counter_ns()))
    runner = StageRunner((server_at(url, None),), asked(nonce="stages"), event, gate)
    found = []
    for number, wanted in enumerate(stages, start=1):
        borders.clear()
        finished = runner.run_stage(closed(number, *wanted), tick)
        around = {
            "ended": finished.ended,
            "lag": finished.pace[0],
            "borders": list(borders),
            "running": running_soon(url),
        }
        found.append(told(finished.stage) | around)
    runner.close()
    return found


def running_soon(url: str) -> float | None:
    """Requests that the engine still runs after it had up to three seconds to notice that nobody reads them."""
    from loadtest.engines.sampler import scrape

    running = None
    for _ in range(30):
        running = (scrape(f"{url}/metrics") or {}).get("running")
        if not running:
            break
        time.sleep(0.1)
    return running


def told(stage: Stage) -> dict[str, Any]:
    return {
        "complete": stage.complete,
        "released": stage.released,
        "warmups": [[one.outcome, one.tokens, one.end] for one in stage.warmups],
        "records": [[one.user, one.index, one.send, one.end, one.outcome, one.tokens] for one in stage.records],
    }


# users, requests of each, warm-ups of each
STAGES = [
    (1, 2, 1),
    (5, 3, 2),
]


def whole_run(url: str) -> dict[str, Any]:
    """Under Locust: both stages, and at each tick whether the garbage collection was on."""
    import gc

    collecting: list[tuple[bool, bool]] = []
    stages = run_stage(url, STAGES, lambda stage: collecting.append((bool(stage.released), gc.isenabled())))
    return {"stages": stages, "collecting": collecting, "after": gc.isenabled()}


@pytest.fixture(scope="module")
def finished(engine: tuple[str, int]) -> dict[str, Any]:
    found: dict[str, Any] = under_locust(whole_run, engine[0])
    return found


def test_every_user_of_every_stage_gets_all_its_answers(finished: dict[str, Any]) -> None:
    for stage, (users, requests, warmup) in zip(finished["stages"], STAGES, strict=True):
        assert stage["complete"]
        assert sorted(record[:2] for record in stage["records"]) == [
            [user, index] for user in range(users) for index in range(requests)
        ]
        assert {tuple(record[4:]) for record in stage["records"]} == {("ok", 8)}
        assert [warmup[:2] for warmup in stage["warmups"]] == [["ok", 8]] * users * warmup


def test_all_warm_ups_are_over_before_all_users_go_together(finished: dict[str, Any]) -> None:
    for stage in finished["stages"]:
        first = [record for record in stage["records"] if record[1] == 0]
        assert max(end for _, _, end in stage["warmups"]) < stage["released"]
        assert stage["released"] <= min(record[2] for record in first)
        assert max(record[2] for record in first) < min(record[3] for record in first)


def test_a_stage_lasts_from_its_release_to_its_last_answer_and_lies_between_its_borders(
    finished: dict[str, Any],
) -> None:
    for stage in finished["stages"]:
        before, after = stage["borders"]
        assert before < stage["released"]
        assert max(record[3] for record in stage["records"]) <= stage["ended"] < after
    assert finished["stages"][0]["borders"][1] < finished["stages"][1]["borders"][0]


def test_the_clients_own_lag_is_measured(finished: dict[str, Any]) -> None:
    for late_ms, cpu in (stage["lag"] for stage in finished["stages"]):
        assert late_ms >= 0 and 0 < cpu <= 1.1


def test_no_garbage_is_collected_while_a_stage_is_measured(finished: dict[str, Any]) -> None:
    measured = {on for released, on in finished["collecting"] if released}
    warming = {on for released, on in finished["collecting"] if not released}
    assert (measured, warming, finished["after"]) == ({False}, {True}, True)


def stopped(url: str, warmup: int, by: str) -> dict[str, Any]:
    """Under Locust: a stage of ten seconds, stopped when the first of `by` is there."""
    from threading import Event

    stop, asked = Event(), [0.0]

    def tick(stage: Stage) -> None:
        if getattr(stage, by) and not stop.is_set():
            asked[0] = time.monotonic()
            stop.set()

    [stage] = run_stage(url, [(2, 100, warmup)], tick, stop)
    return {**stage, "took": time.monotonic() - asked[0]}


def stopped_in_both(url: str) -> list[dict[str, Any]]:
    return [stopped(url, 0, "records"), stopped(url, 100, "warmups")]


@pytest.fixture(scope="module")
def halves(engine: tuple[str, int]) -> list[dict[str, Any]]:
    """A stage stopped among its answers, and one stopped among its warm-ups."""
    found: list[dict[str, Any]] = under_locust(stopped_in_both, engine[0])
    return found


def test_a_stop_keeps_the_answers_that_are_there_and_leaves_the_engine_idle(halves: list[dict[str, Any]]) -> None:
    stage = halves[0]
    assert not stage["complete"] and stage["released"] > 0
    assert 0 < len(stage["records"]) < 200
    assert {record[4] for record in stage["records"]} == {"ok"}
    assert stage["took"] < 5 and stage["running"] == 0


def test_a_stop_during_the_warm_up_measures_nothing(halves: list[dict[str, Any]]) -> None:
    stage = halves[1]
    assert (stage["released"], stage["records"], stage["lag"], stage["borders"]) == (0, [], [None, None], [])
    assert stage["took"] < 5 and stage["running"] == 0


def broken_workload(url: str) -> str:
    """Under Locust: users who fall over our own mistake after their warm-up."""
    from unittest.mock import patch

    from loadtest.workload.requests import ChatRequests

    with patch.object(ChatRequests, "body", side_effect=RuntimeError("ours")):
        try:
            run_stage(url, STAGES, lambda _: None)
        except RuntimeError as defect:
            return str(defect)
    return "nothing was raised"


def test_a_defect_of_a_user_is_raised_and_does_not_hang_the_stage() -> None:
    assert under_locust(broken_workload, "http://127.0.0.1:9") == "ours"
