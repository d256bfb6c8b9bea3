"""Which sentence and exit code a run gets."""

from __future__ import annotations

from typing import Literal

import pytest

from loadtest.analysis.client_health import ClientHealth
from loadtest.analysis.metrics import summarise
from loadtest.analysis.verdict import Judged, StageFacts, conclude, judge
from loadtest.client.record import Record, RequestOutcome
from tests.loadtest.answers import failed, good


def stage(*records: Record, users: int = 5, reasons: tuple[str, ...] = ()) -> StageFacts:
    return StageFacts(users, summarise(records, 0), ClientHealth(0.1, 2.0, 0.1, 0.1, list(reasons)))


FAST = good(0, 100, [(400, 1)])


def test_a_run_is_clean_or_failed_or_invalid() -> None:
    clean = judge([stage(FAST)])
    assert (clean.kind, clean.exit_code) == ("clean", 0)
    some = judge([stage(FAST, failed(0, 1, RequestOutcome.OVERLOADED))])
    assert (some.kind, some.exit_code) == ("failures", 1)
    assert some.reasons == ["5 users: 1 of 2 failed (1 429)"]
    none = judge([stage(failed(0, 1))])
    assert (none.kind, none.exit_code) == ("invalid", 3)
    assert judge([]).exit_code == 3


def test_what_cannot_be_believed_outranks_what_is_bad() -> None:
    bad = failed(0, 1, RequestOutcome.OVERLOADED)
    slow = judge([stage(FAST, bad, reasons=("the client's loop was late",))], doubts=["outside what was checked"])
    assert (slow.kind, slow.exit_code) == ("invalid", 3)
    assert slow.reasons[0] == "5 users: the client's loop was late" and "--max-lag-ms" in slow.reasons[1]
    assert slow.reasons[2:] == ["outside what was checked", "5 users: 1 of 2 failed (1 429)"]
    doubted = judge([stage(FAST)], doubts=["the sides' answers differ in length"])
    assert (doubted.exit_code, doubted.reasons) == (3, ["the sides' answers differ in length"])
    assert judge([stage(FAST)], complete=False).exit_code == 130


def test_a_missed_target_outranks_failures_and_both_outrank_a_met_one() -> None:
    met, missed = Judged("a", "met", "fine"), Judged("b", "missed", "late")
    assert conclude([], [met]).exit_code == 0
    both = conclude(["5 users: 1 of 2 failed (1 429)"], [met, missed])
    assert (both.kind, both.headline) == ("missed", "1 of 2 targets missed.")
    assert both.reasons == ["b: late", "5 users: 1 of 2 failed (1 429)"]
    other = Judged("c", "not judged", "for another card")
    assert conclude([], [met, missed, other]).headline == "1 of 2 targets missed. 1 not judged."
    assert conclude([], [met, other]).headline == "1 of 1 targets met, none missed. 1 not judged."
    assert conclude(["5 users: 1 of 2 failed (1 429)"], [met]).kind == "failures"


@pytest.mark.parametrize("status", ["not judged", "not comparable"])
def test_targets_that_do_not_apply_leave_a_clean_run_clean(status: Literal["not judged", "not comparable"]) -> None:
    verdict = conclude([], [Judged("a", status, "it is for gpu RTX 4090")])
    assert verdict.kind == "clean" and "No target applies" in verdict.headline
    assert verdict.reasons == [f"a: {status}: it is for gpu RTX 4090"]
