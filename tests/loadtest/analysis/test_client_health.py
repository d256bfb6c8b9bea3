"""When the client is too slow to be believed."""

from __future__ import annotations

import time

from loadtest.analysis.client_health import LagMonitor, Pace, judge_client
from loadtest.analysis.metrics import summarise
from tests.loadtest.answers import MS, good

# TTFT 300 ms, E2E 1,300 ms: 2 % are 6 ms and 26 ms.
RECORDS = [good(0, 300, [(100, 1)] * 10)]
CLIENT = summarise(RECORDS, 0)


def reasons(lag: float | None, cpu: float | None, sent_late_ms: float = 0.0, limit: float | None = None) -> list[str]:
    record = good(0, 300, [(100, 1)] * 10)
    record.plan = record.send - int(sent_late_ms * MS)
    return judge_client([Pace(lag, cpu)], [record], CLIENT, limit).reasons


def test_the_limit_is_two_percent_of_the_median_ttft_but_at_least_two_ms() -> None:
    assert reasons(5.9, 0.1) == []
    assert "6.1 ms late at p99 (limit 6.0 ms)" in reasons(6.1, 0.1)[0]
    quick = summarise([good(0, 10, [(10, 1)])], 0)
    assert judge_client([Pace(1.9, 0.1)], [], quick).valid
    assert not judge_client([Pace(2.1, 0.1)], [], quick).valid


def test_a_limit_that_was_given_replaces_the_rule() -> None:
    assert reasons(15, 0.1, limit=20) == []
    assert reasons(21, 0.1, limit=20) != []


def test_a_full_core_is_named() -> None:
    assert reasons(0.1, 0.79) == []
    assert reasons(0.1, 0.81) == ["the client used 81% of its core (limit 80%)"]


def test_of_several_processes_none_may_be_late_and_the_late_one_is_named() -> None:
    """User 0 belongs to the first process, user 1 to the second."""
    records = [good(0, 300, [(100, 1)] * 10, user) for user in (0, 1)]
    records[1].plan = records[1].send - 30 * MS
    health = judge_client([Pace(0.1, 0.2), Pace(7.0, 0.9)], records, CLIENT)
    assert health.reasons == [
        "client process 2's loop was 7.0 ms late at p99 (limit 6.0 ms)",
        "requests left client process 2 30.0 ms late at p99 (limit 26.0 ms)",
        "client process 2 used 90% of its core (limit 80%)",
    ]
    assert (health.lag_p99_ms, health.cpu_share) == (7.0, 0.9)
    assert [(one.lag_p99_ms, one.dispatch_p99_ms) for one in health.processes] == [(0.1, 0.0), (7.0, 30.0)]
    assert judge_client([Pace(0.1, 0.2), Pace(None, None)], records[:1], CLIENT).valid


def test_late_dispatch_may_be_two_percent_of_the_median_answer() -> None:
    assert reasons(0.1, 0.1, sent_late_ms=25) == []
    assert "27.0 ms late" in reasons(0.1, 0.1, sent_late_ms=27)[0]


def test_a_stage_that_was_not_measured_has_no_doubt_of_its_own() -> None:
    assert judge_client([Pace(None, None)], [], summarise([], 0)).valid


def test_the_ticker_sees_a_loop_that_was_held_up() -> None:
    """A busy thread holds the interpreter for 60 ms; the ticker cannot run meanwhile."""
    ticker = LagMonitor()
    ticker.start()
    time.sleep(0.05)
    sum(range(12_000_000))
    time.sleep(0.05)
    lag, cpu = ticker.stop()
    assert lag is not None and lag > 1
    assert cpu is not None and cpu > 0.1
