"""A run beyond what the self check covered is not believed."""

from __future__ import annotations

from loadtest.analysis.client_health import Pace, judge_client
from loadtest.analysis.metrics import summarise
from loadtest.engines.sampling import join
from loadtest.report.document import StageReport
from loadtest.report.selfcheck_envelope import doubts
from loadtest.workload.arrivals import StagePlan
from tests.loadtest.answers import good, self_check

CHECKED = self_check(users=3, tokens_per_s=50.0)


def stage(users: int, gap_ms: float) -> StageReport:
    records = [good(0, 10, [(gap_ms, 1)] * 20, user=user) for user in range(users)]
    client = summarise(records, 0)
    plan = StagePlan(1, 1, 1, "server", "closed", users=users, requests_per_user=1)
    health = judge_client([Pace(0.1, 0.1)], records, client)
    return StageReport(plan, users, True, {}, 0.0, 1.0, client, {}, health, join([], 0, 1))


def test_without_a_check_and_within_its_region_there_is_no_doubt() -> None:
    assert doubts(None, [stage(500, 1)]) == []
    assert doubts(CHECKED, [stage(3, 25)]) == []


def test_more_streams_than_checked_are_a_doubt_with_the_remedy() -> None:
    [reason] = doubts(CHECKED, [stage(4, 50)])
    assert reason == (
        "4 users: 4 requests under way, and the client was checked for 3; check it with selfcheck --users 4"
    )


def test_more_tokens_than_checked_are_a_doubt() -> None:
    [reason] = doubts(CHECKED, [stage(3, 10)])
    assert "300 tokens/s, and the client was checked for 150 (3 users x 50)" in reason
    assert reason.endswith("selfcheck --tokens-per-s 100")


def test_a_check_that_failed_is_told_even_within_the_region() -> None:
    failed = self_check(problems=("TTFT p50 is +5.0 ms off (allowed 2.0 ms)",))
    assert doubts(failed, [stage(1, 50)]) == ["the self check failed: TTFT p50 is +5.0 ms off (allowed 2.0 ms)"]


def test_another_number_of_client_processes_than_checked_is_a_doubt() -> None:
    [reason] = doubts(CHECKED, [stage(3, 25)], processes=2)
    assert reason.startswith("the client was checked with 1 process(es), and this run had 2; check it with selfcheck")
    assert doubts(CHECKED.model_copy(update={"processes": 2}), [stage(3, 25)], processes=2) == []
