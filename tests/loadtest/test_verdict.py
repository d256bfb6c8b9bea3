"""Which sentence and exit code a run gets."""

from __future__ import annotations

from loadtest.health import ClientHealth
from loadtest.metrics import summarise
from loadtest.record import Outcome, Record
from loadtest.verdict import Judged, StageFacts, Target, judge, judge_target
from tests.loadtest.answers import failed, good

SEED = Target("five at once", 5, "total_time_s", below=3.0, applies_to={"gpu": "RTX 4090", "model": "Qwen 1.5B"})
BOX = {"gpu": "NVIDIA GeForce RTX 4090", "model": "Qwen/Qwen2.5-1.5B-Instruct"}


def stage(*records: Record, users: int = 5, reasons: tuple[str, ...] = ()) -> StageFacts:
    return StageFacts(users, summarise(records, 0), ClientHealth(0.1, 2.0, 0.1, 0.1, list(reasons)))


FAST, SLOW = good(0, 100, [(400, 1)]), good(0, 100, [(7470, 1)])


def test_the_seeds_numbers() -> None:
    assert judge_target(SEED, [stage(FAST)], BOX, 1).status == "met"
    missed = judge_target(SEED, [stage(SLOW)], BOX, 1)
    assert (missed.status, missed.reason) == ("missed", "total_time_s at 5 users < 3: measured 7.57")


def test_a_target_for_another_machine_is_not_judged_and_says_why() -> None:
    other = judge_target(SEED, [stage(SLOW)], BOX | {"gpu": "none, CPU"}, 1)
    assert other.status == "not judged" and "RTX 4090" in other.reason and "none, CPU" in other.reason
    unknown = judge_target(SEED, [stage(SLOW)], {"model": "Qwen 1.5B"}, 1)
    assert unknown.status == "not judged" and "--meta" in unknown.reason


def test_a_target_for_another_plan_is_not_judged() -> None:
    target = Target("five", 5, "total_time_s", below=3.0, requests_per_user=1)
    assert judge_target(target, [stage(SLOW)], {}, 4).status == "not judged"
    assert judge_target(target, [stage(SLOW, users=10)], {}, 1).status == "not judged"


def test_fast_failures_do_not_meet_a_target() -> None:
    target = Target("five", 5, "total_time_s", below=3.0)
    assert judge_target(target, [stage(FAST, failed(0, 1))], {}, 1).status == "missed"
    assert judge_target(target, [stage(failed(0, 1))], {}, 1).status == "missed"


def test_lower_bounds_and_every_metric_name() -> None:
    one = [stage(good(0, 100, [(10, 1)] * 9))]
    assert judge_target(Target("t", 5, "output_tokens_per_s", at_least=50), one, {}, 1).status == "met"
    assert judge_target(Target("t", 5, "output_tokens_per_s", at_least=500), one, {}, 1).status == "missed"
    for metric, below in {"ttft_p95_ms": 101, "itl_p50_ms": 11, "tpot_mean_ms": 11, "e2e_p95_ms": 191}.items():
        assert judge_target(Target("t", 5, metric, below=below), one, {}, 1).status == "met"
        assert judge_target(Target("t", 5, metric, below=below - 2), one, {}, 1).status == "missed"
    assert judge_target(Target("t", 5, "failures", below=1), one, {}, 1).status == "met"


def test_without_targets_a_run_is_clean_or_failed_or_invalid() -> None:
    clean = judge([stage(FAST)], [])
    assert (clean.kind, clean.exit_code) == ("clean", 0)
    some = judge([stage(FAST, failed(0, 1, Outcome.OVERLOADED))], [])
    assert (some.kind, some.exit_code) == ("failures", 1)
    assert some.reasons == ["5 users: 1 of 2 failed (1 429)"]
    none = judge([stage(failed(0, 1))], [])
    assert (none.kind, none.exit_code) == ("invalid", 3)
    assert judge([], []).exit_code == 3


def test_what_cannot_be_believed_outranks_a_met_target() -> None:
    met, missed = Judged("a", "met", "fine"), Judged("b", "missed", "late")
    slow = judge([stage(FAST, reasons=("the client's loop was late",))], [met])
    assert (slow.kind, slow.exit_code) == ("invalid", 3)
    assert slow.reasons[0] == "5 users: the client's loop was late" and "--max-lag-ms" in slow.reasons[1]
    assert judge([stage(FAST)], [met, missed]).exit_code == 1
    assert judge([stage(FAST)], [met]).exit_code == 0
    assert judge([stage(FAST)], [met], complete=False).exit_code == 130


def test_targets_that_do_not_apply_leave_a_clean_run_clean() -> None:
    verdict = judge([stage(FAST)], [Judged("a", "not judged", "it is for gpu RTX 4090")])
    assert verdict.kind == "clean" and "No target applies" in verdict.headline
    assert "RTX 4090" in verdict.reasons[0]
