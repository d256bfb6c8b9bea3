"""A race in words. What the words rest on is tried in test_race.py."""

from __future__ import annotations

import math

from fullbatch.tune import verdict
from fullbatch.tune.objective import Score
from fullbatch.tune.race import RaceResult, RaceRules
from fullbatch.tune.standing import PLAN, BootScore, Standing
from fullbatch.tune.statistics import Interval


def standing(*values: tuple[str, int, float]) -> Standing:
    return Standing(
        [BootScore(arm, number, "screening", Score(value, math.exp(value)), 0) for arm, number, value in values]
    )


def test_an_interval_says_percent_and_pairs() -> None:
    assert verdict.told(Interval(0.0953, 0.0488, 0.14, 3)) == "+10.0 % (+5.0 % to +15.0 %, 3 pairs of boots)"
    assert verdict.told(Interval(-0.1, -math.inf, math.inf, 1)) == "-9.5 % in 1 pair of boots, its error unknown"
    assert verdict.as_json(Interval(0.1, -math.inf, math.inf, 1)) == {
        "mean": 0.1,
        "low": None,
        "high": None,
        "pairs": 1,
    }


def test_one_boot_of_each_cannot_tell_and_says_what_it_takes() -> None:
    found = RaceResult(standing((PLAN, 1, 2.0), ("one", 1, 2.1)), 120.0, 60.0, not_raced=["two"])
    said = verdict.judge(found, RaceRules(120), "people")
    assert (said.word, said.winner) == ("cannot tell", None)
    assert said.reasons[1] == "not raced for want of time: two"
    assert said.reasons[2].startswith("it would take about 9 more boots: --budget 11m")


def test_boots_that_differ_too_much_are_said_to() -> None:
    rows = [
        (arm, number, (0.0 if arm == PLAN else 1.0) * (-1) ** number) for number in range(4) for arm in (PLAN, "one")
    ]
    said = verdict.judge(RaceResult(standing(*rows), 1.0, 1.0), RaceRules(9), "people")
    assert said.word == "cannot tell" and "a machine that nobody else uses" in said.reasons[1]


def test_an_arm_that_is_much_worse_leaves_the_plan_fine() -> None:
    rows = [(arm, number, value + 0.001 * number) for number in range(3) for arm, value in ((PLAN, 2.0), ("one", 1.0))]
    said = verdict.judge(RaceResult(standing(*rows), 1.0, 1.0), RaceRules(9), "people")
    assert said.word == "the plan is fine" and "the nearest, one, is at -63.2 %" in said.sentence
