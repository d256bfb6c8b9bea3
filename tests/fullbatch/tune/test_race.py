"""Races on a bench whose truth is known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest

from fullbatch.core.errors import EngineError, UsageError
from fullbatch.tune.objective import People
from fullbatch.tune.race import Race, RaceResult, RaceRules
from fullbatch.tune.verdict import TuneVerdict, judge
from tests.fullbatch.tune.benches import KnownBench

ALIKE = {"plan": 20.0} | {f"arm{number}": 20.0 for number in range(1, 9)}
PEOPLE = People({"ttft_p95_ms": 1000.0}, most=256)


def race(people: Mapping[str, float], minutes: float = 60, **bench: Any) -> tuple[RaceResult, TuneVerdict]:
    made = KnownBench(people, **bench)
    arms = [name for name in people if name != "plan"]
    rules = RaceRules(minutes * 60)
    found = Race(arms, made, PEOPLE, rules, lambda _: None).run()
    return found, judge(found, rules, PEOPLE.unit)


def words(people: Mapping[str, float], races: int, **bench: Any) -> list[str]:
    return [race(people, seed=seed, **bench)[1].word for seed in range(races)]


@pytest.mark.parametrize(("boot_sd", "load_sd"), [(0.01, 0.02), (0.05, 0.05), (0.2, 0.2)])
def test_alike_arms_have_no_winner(boot_sd: float, load_sd: float) -> None:
    """200 races of eight arms that are the plan: at most one in twenty may call a winner."""
    said = words(ALIKE, 200, boot_sd=boot_sd, load_sd=load_sd)
    assert said.count("better") <= 10
    if boot_sd <= 0.01:
        assert said.count("the plan is fine") >= 190


def test_alike_arms_of_unlike_noise_and_a_drift_have_no_winner() -> None:
    """A machine that gets 40 % slower in an hour, which rounds take out."""
    assert words(ALIKE, 100, boot_sd=0.04, drift=-0.5).count("better") <= 5


def test_a_better_arm_is_found_and_is_as_much_better_as_it_is() -> None:
    truth = 28 / 20
    inside = 0
    for seed in range(40):
        found, verdict = race(ALIKE | {"arm5": 28.0}, seed=seed)
        assert (verdict.word, verdict.winner) == ("better", "arm5")
        assert found.final and found.spent_s < 3600
        inside += found.final.low <= math.log(truth) <= found.final.high
    assert inside >= 38


def test_noise_hides_a_small_gain() -> None:
    said = words(ALIKE | {"arm5": 22.0}, 40, boot_sd=0.25, load_sd=0.1)
    assert said.count("cannot tell") >= 36 and said.count("better") <= 2


def test_a_gain_that_the_load_kept_back_does_not_show_is_not_called_one() -> None:
    found, verdict = race(ALIKE | {"arm5": 30.0}, held_out_people=ALIKE)
    assert found.winner == "arm5" and not found.confirmed
    assert verdict.word == "cannot tell" and "does not confirm" in verdict.sentence


def test_an_arm_that_does_not_start_costs_that_arm_only() -> None:
    found, verdict = race(ALIKE | {"arm5": 30.0}, broken={"arm2": "out of memory; write max-num-seqs: 8"})
    assert verdict.word == "better" and verdict.winner == "arm5"
    assert "arm2 did not start: out of memory; write max-num-seqs: 8" in verdict.reasons
    assert sum(one.arm == "arm2" for one in found.standing.boots) == 0


def test_a_race_whose_arms_all_fail_says_so() -> None:
    people = {"plan": 20.0, "one": 20.0}
    assert race(people, broken={"one": "no"})[1].sentence == "no arm but the plan has started"


def test_the_plan_itself_has_to_start() -> None:
    with pytest.raises(EngineError, match="the plan itself does not start: no card"):
        race(ALIKE, broken={"plan": "no card"})


def test_a_budget_too_short_for_one_boot_is_said_with_one_that_is_not() -> None:
    with pytest.raises(UsageError, match=r"--budget: one boot with its loads took \d+ s; write at least 2\dm"):
        race(ALIKE, minutes=0.5)


def test_a_short_budget_races_the_first_arms_and_cannot_tell() -> None:
    found, verdict = race(ALIKE, minutes=12)
    assert found.spent_s <= 12 * 60 * 1.1
    assert verdict.word == "cannot tell" and found.not_raced
    assert any("--budget" in reason for reason in verdict.reasons)


@pytest.mark.parametrize("minutes", [20, 45, 90])
def test_the_time_spent_is_within_the_budget(minutes: int) -> None:
    for seed in range(20):
        found, _ = race(ALIKE | {"arm5": 22.0}, minutes, seed=seed, boot_sd=0.05)
        assert found.spent_s <= minutes * 60 * 1.1


def test_a_promise_that_everybody_keeps_ends_at_once() -> None:
    found, _ = race({"plan": 5000.0, "one": 5000.0})
    assert found.capped and len(found.standing.boots) == 1


def test_boots_of_a_final_stand_in_both_orders() -> None:
    made = KnownBench(ALIKE | {"arm5": 28.0}, boot_sd=0.01)
    found = Race([*ALIKE][1:], made, PEOPLE, RaceRules(3600), lambda _: None).run()
    finals = [one for one in found.standing.boots if one.kind == "final"]
    first = [one.arm for one in finals if one.round == finals[0].round]
    second = [one.arm for one in finals if one.round == finals[0].round + 1]
    assert {first[0], first[-1]} >= {"plan"} and second == first[::-1]
