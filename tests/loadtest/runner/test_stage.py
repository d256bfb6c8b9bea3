"""A stage's users go together, and a defect does not leave anybody waiting."""

from __future__ import annotations

import time
from threading import Thread
from time import perf_counter_ns

from loadtest.client.record import Record
from loadtest.runner.stage import Barrier, Stage, StageWork
from loadtest.workload.arrivals import StagePlan
from loadtest.workload.source import Place
from tests.loadtest.answers import closed


def test_nobody_starts_before_the_last_has_arrived() -> None:
    stage = closed(1, users=5, requests_per_user=1)
    started: list[int] = []

    def work(delay: float) -> None:
        user = stage.join()
        time.sleep(delay)
        stage.warm.arrive()
        stage.start.arrive()
        started.append(perf_counter_ns())
        stage.records.append(Record(1, user, 0, plan=stage.released, send=perf_counter_ns()))
        stage.leave()

    threads = [Thread(target=work, args=(delay / 50,), daemon=True) for delay in range(5)]
    for thread in threads:
        thread.start()
    assert stage.warm.full.wait(10)
    stage.warm.open()
    assert stage.start.full.wait(10)
    assert started == [] and not stage.complete
    stage.release()
    assert stage.over.wait(10)
    for thread in threads:
        thread.join()
    assert len(started) == 5 and min(started) >= stage.released
    assert sorted(record.user for record in stage.records) == [0, 1, 2, 3, 4]
    assert stage.complete


def test_a_defect_wakes_whoever_waits_for_the_stage() -> None:
    stage = closed(1, users=2, requests_per_user=1)
    stage.fail(RuntimeError("ours"))
    assert stage.warm.full.wait(0) and stage.start.full.wait(0) and stage.over.wait(0)
    assert str(stage.defect) == "ours"


def test_a_barrier_is_full_with_the_last_and_not_before() -> None:
    barrier = Barrier(3)
    threads = [Thread(target=barrier.arrive, daemon=True) for _ in range(3)]
    for thread in threads[:2]:
        thread.start()
    assert not barrier.full.wait(0.2)
    threads[2].start()
    assert barrier.full.wait(10)
    assert all(thread.is_alive() for thread in threads)
    barrier.open()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)


def test_shares_of_several_processes_are_the_whole_and_each_part_is_one_processes() -> None:
    users, arrivals = StageWork("1"), StageWork("1", starts=[0.1 * n for n in range(7)])
    for work, count in ((users, 5), (arrivals, 7)):
        shares = [work.of(process, 3, users=5).share or () for process in range(3)]
        assert sorted(number for share in shares for number in share) == list(range(count))
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_stage_of_a_share_has_its_users_and_their_numbers() -> None:
    plan = StagePlan(1, 1, 1, "server", "closed", users=5, requests_per_user=1)
    stage = Stage(plan, StageWork("1").of(1, 2, users=5))
    assert stage.users == 2 and [stage.join(), stage.join()] == [1, 3]
    stage.finish()
    assert stage.complete and stage.over.is_set()


def test_how_many_requests_are_planned() -> None:
    soak = StagePlan(1, 1, 1, "server", "soak", users=2, seconds=10)
    assert closed(1, users=5, requests_per_user=4).planned == 20
    assert Stage(soak, StageWork("1")).planned is None


def test_the_place_of_a_conversation_is_of_its_stage_and_a_warm_up_has_another() -> None:
    stage, opened = (
        closed(1, users=5, requests_per_user=4),
        StagePlan(1, 1, 1, "server", "open", rate=(9, 9), seconds=1),
    )
    assert stage.place(3, 2) == Place("1", 3, 5, 2) and stage.place(3, 2).label == "1-3-2"
    assert stage.place(3, 2, warmup=True) == Place("warmup-1", 3, 5, 2)
    assert Stage(opened, StageWork("1", starts=[1.0])).place(7) == Place("1", 7, None, 0)


def test_an_open_loop_has_one_user_and_a_deadline_counts_from_the_release() -> None:
    stage = Stage(StagePlan(1, 1, 1, "server", "open", rate=(9, 9), seconds=10), StageWork("1", starts=[1.0]))
    stage.release()
    assert (stage.users, stage.deadline) == (1, stage.released + 10_000_000_000)
    assert closed(1, 5, 1).deadline is None
