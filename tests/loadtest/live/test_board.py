"""Live numbers: every token in its second, stages and totals that add up, workers that merge."""

from __future__ import annotations

import json
import time

import pytest

from loadtest.client.record import Record, RequestOutcome
from loadtest.live.board import Board, Collector, Slice
from tests.loadtest.answers import MS, failed, good


def now_ms() -> float:
    return time.perf_counter_ns() / MS


def slices(*records: Record) -> dict[int, Slice]:
    collector = Collector()
    for record in records:
        collector.note(record)
    collector.absorb()
    return collector.take()


def test_tokens_count_in_the_second_in_which_they_came() -> None:
    begin = now_ms() - 5000
    found = slices(good(begin, begin + 100, [(1000, 1), (1000, 1)], tokens=6))
    assert [round(one.tokens, 6) for _, one in sorted(found.items())] == [2, 2, 2]
    first = min(found)
    assert found[first].ttft.quantile(0.5) == pytest.approx(0.1, rel=0.03) and found[first].itl.count == 0
    assert sum(one.outcomes["ok"] for one in found.values()) == 1
    assert abs(first - (time.time() - 4.9)) <= 1.1


def test_failures_count_by_outcome_and_bring_no_times() -> None:
    (one,) = slices(failed(now_ms(), now_ms(), RequestOutcome.OVERLOADED)).values()
    assert (dict(one.outcomes), one.tokens, one.ttft.count) == ({"429": 1}, 0.0, 0)


def test_work_waits_when_there_is_no_time_for_it() -> None:
    collector = Collector()
    collector.note(good(now_ms(), now_ms(), []))
    collector.absorb(0.0)
    assert collector.take() == {}
    collector.absorb()
    assert len(collector.take()) == 1 and collector.take() == {}


def test_what_workers_send_adds_up_to_the_whole() -> None:
    begin = now_ms() - 3000
    records = [good(begin, begin + 50 + index, [(10, 1)] * 20) for index in range(40)]
    alone, together = Board(), Board()
    for board in (alone, together):
        board.begin("run", "chat")
        board.stage(5, at=time.time() - 10)
    alone.merge(slices(*records))
    for part in (records[:7], records[7:]):
        sent = json.loads(json.dumps([[second, one.pack()] for second, one in slices(*part).items()]))
        together.merge({second: Slice.unpack(packed) for second, packed in sent})
    assert together.total.ttft.buckets() == alone.total.ttft.buckets()
    assert together.total.itl.buckets() == alone.total.itl.buckets()
    (row,), (same,) = together.table(now=0), alone.table(now=0)
    assert row == pytest.approx(same) and row["answers"] == 40


def test_stages_follow_the_users_and_keep_their_own_numbers() -> None:
    board, start = Board(), 1000.0
    board.begin("run", "chat")
    for users, at in ((1, start), (1, start + 2), (5, start + 10)):
        board.stage(users, at)
    quick, slow = Slice(tokens=10), Slice(tokens=30)
    quick.ttft.add(0.05)
    slow.ttft.add(0.5)
    board.merge({1003: quick, 1012: slow})
    board.end(start + 20)
    rows = board.table()
    assert [(row["stage"], row["users"], row["seconds"], row["tokens_per_s"]) for row in rows] == [
        (1, 1, 10.0, 1.0), (2, 5, 10.0, 3.0),
    ]  # fmt: skip
    assert [row["ttft_p50"] for row in rows] == pytest.approx([50, 500], rel=0.03)
    assert rows[0]["itl_p50"] is None and board.running is None


def test_the_series_has_gaps_where_nothing_came() -> None:
    board = Board()
    board.begin("run", "chat")
    board.stage(3, 1000.0)
    one = Slice(tokens=50)
    one.itl.add(0.02)
    board.merge({1001: one})
    series = board.series(now=1010.0)
    assert [(at["at_s"], at["tokens_per_s"], at["itl_p50_ms"] is None) for at in series] == [
        (0, 10, False),
        (5, 0, True),
    ]
    assert {at["users"] for at in series} == {3}
    assert Board().series() == []


def test_a_new_run_forgets_the_stages_and_no_counter_falls() -> None:
    board = Board()
    board.begin("one", "chat")
    board.stage(3, 1000.0)
    board.merge({1001: Slice(tokens=50)})
    board.begin("two", "rag")
    assert (board.stages, board.series(), board.total.tokens) == ([], [], 50)
    assert (board.run, board.workload) == ("two", "rag")
