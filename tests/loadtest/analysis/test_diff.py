"""Before and after: what is called worse, and what is not."""

from __future__ import annotations

from dataclasses import replace

from loadtest.analysis.diff import Diff, diff, text
from tests.loadtest.reports import Side, make

BASE = Side(jitter=0.05)


def changed(side: Side, repeats: int = 3, tolerance: float = 0.05) -> Diff:
    return diff(make([BASE], (10, 50), repeats), make([side], (10, 50), repeats), tolerance)


def test_the_same_server_again_is_no_regression() -> None:
    made = changed(BASE)
    assert (made.exit_code, made.regressions) == (0, [])
    assert text(made).startswith("diff: nothing is worse; 0 better, 24 as before")


def test_slower_tokens_are_a_regression_with_numbers() -> None:
    made = changed(replace(BASE, itl_ms=13))
    assert made.exit_code == 1
    worse = {change.metric for change in made.changes if change.word == "worse"}
    assert {"itl_p50_ms", "output_tokens_per_s", "total_time_s", "e2e_p50_ms"} <= worse
    assert not {"ttft_p50_ms", "attainment"} & worse
    line = next(line for line in made.regressions if "itl_p50_ms" in line)
    assert line.startswith("server, 10 users: itl_p50_ms 9.9") and "0.7" in line and "[" in line
    assert "worse, 0 better" in text(made).splitlines()[-1]


def test_faster_is_better_and_not_a_regression() -> None:
    made = changed(replace(BASE, ttft_ms=20))
    assert made.exit_code == 0
    assert {change.metric for change in made.changes if change.word == "better"} >= {"ttft_p50_ms"}


def test_a_change_below_the_tolerance_is_the_same() -> None:
    slower = replace(BASE, itl_ms=11.5, jitter=0.01)
    assert changed(slower).exit_code == 1
    assert changed(slower, tolerance=0.3).exit_code == 0


def test_without_repeats_a_rate_is_unclear_and_a_percentile_still_tells() -> None:
    made = changed(replace(BASE, itl_ms=20), repeats=1)
    words = {change.metric: change.word for change in made.changes if change.label == "50 users"}
    assert (words["output_tokens_per_s"], words["itl_p50_ms"]) == ("unclear", "worse")
    assert "repeats would tell" in text(made)


def test_failures_that_are_new_are_a_regression() -> None:
    made = changed(replace(BASE, failures=1))
    assert made.exit_code == 1
    assert made.regressions[0] == "server, 10 users: 3 of 93 requests failed, none before"


def test_what_cannot_be_compared_is_named() -> None:
    shorter = diff(make([BASE], (5, 10)), make([replace(BASE, tokens=10)], (10, 50)))
    assert shorter.exit_code == 3 and "no stage in common" in text(shorter)
    assert "max tokens: 20 before, 10 after" in shorter.settings
    assert [line.split(":")[0] for line in shorter.not_compared] == [
        "server, 10 users",
        "server, 50 users",
        "server, 5 users",
    ]


def test_a_run_that_cannot_be_believed_says_nothing() -> None:
    made = changed(replace(BASE, lag_ms=80, itl_ms=30))
    assert made.exit_code == 3 and "the run after is invalid" in text(made)
    stopped = diff(make([BASE]), make([BASE], complete=False))
    assert stopped.exit_code == 3 and "incomplete" in text(stopped)


def test_sides_are_matched_by_name_and_a_single_side_to_the_other() -> None:
    two = [Side("a"), Side("b", itl_ms=30)]
    assert diff(make(two), make(list(reversed(two)))).exit_code == 0
    assert diff(make([Side("old")]), make([Side("new")])).exit_code == 0


def test_it_can_be_read_by_programs() -> None:
    made = changed(replace(BASE, itl_ms=13)).as_dict()
    assert made["exit_code"] == 1 and made["changes"][0]["metric"] == "total_time_s" and made["regressions"]


def test_what_cannot_be_believed_is_shown_and_called_neither_worse_nor_better() -> None:
    """The verdict of `diff` is that nothing can be said; no line may say otherwise before it."""
    before, after = make(repeats=3), make([Side(itl_ms=30, lag_ms=500, failures=1)], repeats=3)
    made = diff(before, after)
    lines = text(made).splitlines()
    assert made.exit_code == 3 and lines[-1].startswith("diff: nothing can be said: the run after is invalid")
    assert not [line for line in lines if line.startswith(("worse:", "better:", "unclear:"))]
    assert [line for line in lines if line.startswith("not to be believed (")]
