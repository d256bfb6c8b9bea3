"""What a command line makes of a workload."""

from __future__ import annotations

import pytest

from loadtest.cli.options import parser, source_and_arrivals
from loadtest.core.errors import UsageProblem

RUN = ["run", "--base-url", "http://x", "--model", "m", "--out", "o"]


def test_without_options_the_workload_says_all() -> None:
    source, arrivals = source_and_arrivals(parser().parse_args(RUN))
    assert (source.name, source.lengths.output) == ("seed", 64)
    assert (arrivals.mode, arrivals.users, arrivals.requests_per_user) == ("closed", (1, 5, 10, 50), 4)


def test_options_win_over_the_workload() -> None:
    words = ["--workload", "chat", "--mode", "open", "--rates", "2,4", "--seconds", "7", "--max-tokens", "9"]
    source, arrivals = source_and_arrivals(parser().parse_args([*RUN, *words]))
    [kind] = source.describe()["kinds"]
    assert (source.lengths.output, kind["output_tokens"], kind["system_tokens"]) == (9, 9, 600)
    assert [stage.label for stage in arrivals.stages()] == ["2/s", "4/s"]
    assert {stage.seconds for stage in arrivals.stages()} == {7}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--mode", "open"], "--rates: mode open needs rates"),
        (["--mode", "ramp", "--rates", "1"], "--rates: mode ramp needs two rates"),
        (["--workload", "mixed", "--max-tokens", "5"], "'mixed' has several kinds"),
    ],
)
def test_what_does_not_fit_together_is_refused(words: list[str], expected: str) -> None:
    with pytest.raises(UsageProblem, match=expected):
        source_and_arrivals(parser().parse_args([*RUN, *words]))


def test_retry_after_is_obeyed_when_asked_for_with_a_limit_of_its_own_or_the_default() -> None:
    limits = [parser().parse_args([*RUN, *words]).obey_retry_after for words in _OBEY]
    assert limits == [0.0, 300.0, 20.0]


_OBEY: list[list[str]] = [[], ["--obey-retry-after"], ["--obey-retry-after", "20"]]
