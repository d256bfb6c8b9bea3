"""Whose turn it is on a card, on a simulated clock."""

from __future__ import annotations

import random
from dataclasses import replace
from statistics import mean
from typing import Any

import pytest

from gateway.residency.load_times import LoadTimes
from gateway.residency.policy import Demand, Member, Policy, ResidencyRules, Switch, Waiter
from tests.gateway.residency.simulated import (
    ByPolicy,
    Rule,
    Run,
    loaded_first,
    oldest_first,
    simulate,
    simulate_arrivals,
)

INTERACTIVE, NORMAL, BATCH = 0, 1, 2
BUSY = Demand(running=5, running_level=NORMAL)
SEEDS = range(15)


def policy(names: str = "AB", load_s: float = 3.0, **rules: Any) -> Policy:
    """A is loaded since 0."""
    found = Policy({name: Member(LoadTimes(load_s, load_s)) for name in names}, ResidencyRules(**rules))
    found.adopt("A", 0.0)
    return found


def asked(*waiters: Waiter) -> Demand:
    return Demand(waiters)


def flat(_: str) -> float:
    return 0.0


def first_switch(one: Policy, demands: dict[str, Demand], within: float = 3600.0) -> tuple[float, Switch] | None:
    """When, to a second, and to what."""
    for now in range(int(within)):
        if (found := one.choose(float(now), demands, flat)) is not None:
            return float(now), found
    return None


def test_only_one_model_asked_for_is_never_turned_away() -> None:
    assert first_switch(policy(), {"A": Demand([Waiter("k", NORMAL, 0.0)], 16, NORMAL)}) is None
    assert first_switch(policy(), {}) is None


@pytest.mark.parametrize(("load_s", "at"), [(3.0, 20.0), (60.0, 240.0)])
def test_a_busy_model_goes_after_patience_and_its_residency(load_s: float, at: float) -> None:
    demands = {"A": BUSY, "B": asked(Waiter("k", NORMAL, 0.0))}
    assert first_switch(policy(load_s=load_s), demands) == (at, Switch("B", "patience", "k"))


@pytest.mark.parametrize(("sleeps", "at"), [(True, 20.0), (False, 200.0)])
def test_a_first_start_that_comes_once_keeps_nobody_waiting_for_its_multiple(sleeps: bool, at: float) -> None:
    one = Policy({name: Member(LoadTimes(1.5, 50.0), sleeps) for name in "AB"}, ResidencyRules())
    one.adopt("A", 0.0)
    waiter = Waiter("k", NORMAL, 0.0)
    demands = {"A": BUSY, "B": asked(waiter)}
    assert first_switch(one, demands) == (at, Switch("B", "patience", "k"))
    # What it waits for is told as it is: the start takes its time.
    assert one.wait_s(0.0, waiter, "B", demands, 0.0) == at + 50.0
    one.loaded("B", "cold", 50.0, 0.0, waited_for=True)
    one.adopt("A", 0.0)  # and B has ended instead of sleeping: each of its turns costs a start now
    assert first_switch(one, demands) == (200.0, Switch("B", "patience", "k"))
    one.members["B"].next_kind = "wake"
    assert first_switch(one, demands) == (20.0, Switch("B", "patience", "k"))


@pytest.mark.parametrize(("load_s", "at"), [(3.0, 3.0), (60.0, 10.0)])
def test_an_idle_model_goes_sooner(load_s: float, at: float) -> None:
    demands = {"B": asked(Waiter("k", NORMAL, 0.0))}
    assert first_switch(policy(load_s=load_s), demands) == (at, Switch("B", "idle", "k"))


def test_one_that_was_let_go_goes_as_soon_as_it_is_idle() -> None:
    one = policy(load_s=60.0)
    one.members["A"].let_go = True
    waiting = {"B": asked(Waiter("k", NORMAL, 0.0))}
    assert first_switch(one, waiting | {"A": BUSY}) == (240.0, Switch("B", "patience", "k"))
    assert one.choose(0.0, waiting, flat) == Switch("B", "idle", "k")
    one.adopt("A", 0.0)
    assert one.choose(0.0, waiting, flat) is None  # of that stay only


def test_what_is_loaded_and_not_wanted_any_more_has_no_claim() -> None:
    one = policy(load_s=60.0)
    one.loaded("A", "cold", 60.0, 0.0, waited_for=False)
    assert first_switch(one, {"A": BUSY, "B": asked(Waiter("k", NORMAL, 0.0))}) == (20.0, Switch("B", "patience", "k"))
    assert one.choose(0.0, {"B": asked(Waiter("k", NORMAL, 0.0))}, flat) == Switch("B", "idle", "k")


def test_an_empty_card_waits_for_nothing() -> None:
    one = policy()
    one.adopt(None, 0.0)
    assert one.choose(0.0, {"B": asked(Waiter("k", BATCH, 0.0))}, flat) == Switch("B", "idle", "k")


@pytest.mark.parametrize(
    ("running", "waiter", "at"),
    [(INTERACTIVE, BATCH, 60.0), (NORMAL, BATCH, 40.0), (BATCH, BATCH, 20.0), (BATCH, INTERACTIVE, 20.0)],
)
def test_batch_turns_nobody_more_urgent_away_before_it_has_aged(running: int, waiter: int, at: float) -> None:
    demands = {"A": Demand(running=1, running_level=running), "B": asked(Waiter("k", waiter, 0.0))}
    found = first_switch(policy(ageing_s=20.0), demands)
    assert found is not None and found[0] == at
    queued = {"A": asked(Waiter("k", running, 0.0)), "B": asked(Waiter("k", waiter, 0.0))}
    assert first_switch(policy(ageing_s=20.0), queued) == found  # those who wait for it count as well


def test_who_has_had_least_on_the_card_comes_first_then_who_came_first() -> None:
    one = policy("ABC")
    demands = {"B": asked(Waiter("much", NORMAL, 0.0)), "C": asked(Waiter("little", NORMAL, 2.0))}
    service = {"much": 100.0, "little": 5.0}
    assert one.choose(50.0, demands, service.__getitem__) == Switch("C", "idle", "little")
    assert one.choose(50.0, demands, flat) == Switch("B", "idle", "much")


def test_waiters_that_leave_are_forgotten() -> None:
    one = policy()
    assert one.choose(100.0, {"A": BUSY, "B": asked(Waiter("k", NORMAL, 0.0))}, flat) is not None
    assert one.choose(100.0, {"A": BUSY, "B": asked()}, flat) is None


def test_a_key_causes_so_many_switches_an_hour() -> None:
    one = policy(switches_per_hour=2)
    for at in (10.0, 20.0):
        one.budget.caused("k", at)
    mine = Waiter("k", NORMAL, 30.0)
    demands = {"A": BUSY, "B": asked(mine, Waiter("other", NORMAL, 40.0))}
    assert first_switch(one, demands) == (60.0, Switch("B", "patience", "other"))
    demands = {"A": BUSY, "B": asked(mine)}
    assert one.wait_s(60.0, mine, "B", demands, 5.0) == float("inf")
    assert first_switch(one, demands, 7200.0) == (3610.0, Switch("B", "patience", "k"))


def test_a_model_that_failed_is_tried_again_after_a_while_and_not_at_each_request() -> None:
    one = policy()
    demands = {"B": asked(*(Waiter("k", NORMAL, float(n)) for n in range(100)))}
    for pause in (30.0, 60.0, 120.0, 120.0):
        one.failed("B", "no memory", 1000.0)
        assert one.resident is None
        assert one.choose(1000.0 + pause - 0.1, demands, flat) is None
        assert one.choose(1000.0 + pause, demands, flat) == Switch("B", "idle", "k")
    one.loaded("B", "cold", 5.0, 2000.0, waited_for=True)
    one.failed("B", "again", 3000.0)
    assert one.choose(3030.0, demands, flat) is not None  # it begins anew


def test_an_operator_waits_for_nothing_and_a_pin_keeps_others_out() -> None:
    one = policy("ABC", load_s=60.0)
    one.wanted = "B"
    assert one.choose(0.0, {"A": BUSY}, flat) == Switch("B", "priority")
    one.loaded("B", "cold", 60.0, 60.0, waited_for=False)
    assert not one.unwanted
    one.pinned = "C"
    assert one.choose(61.0, {"A": BUSY}, flat) == Switch("C", "priority")
    one.adopt("C", 61.0)
    assert first_switch(one, {"A": asked(Waiter("k", INTERACTIVE, 0.0))}) is None
    assert one.wait_s(61.0, Waiter("k", 0, 61.0), "A", {}, 5.0) == float("inf")
    one.pinned = None
    assert first_switch(one, {"A": asked(Waiter("k", INTERACTIVE, 0.0))}) is not None


def test_how_long_somebody_who_comes_will_wait() -> None:
    one, me = policy(load_s=60.0), Waiter("k", NORMAL, 100.0)
    assert one.wait_s(100.0, me, "B", {}, 30.0) == 60.0  # idle: now, and nothing to drain
    assert one.wait_s(100.0, me, "B", {"A": BUSY}, 30.0) == (240.0 - 100.0) + 30.0 + 60.0
    late = replace(me, since=300.0)
    assert one.wait_s(300.0, late, "B", {"A": BUSY}, 30.0) == 20.0 + 30.0 + 60.0
    before = {"A": BUSY, "B": asked(Waiter("other", NORMAL, 290.0))}
    assert one.wait_s(300.0, late, "B", before, 30.0) == 10.0 + 30.0 + 60.0  # another's patience began earlier
    one.failed("B", "no memory", 300.0)
    assert one.wait_s(300.0, late, "B", {}, 30.0) == 30.0 + 60.0


def means(rule: Rule | None, load_s: float, a: float, b: float) -> list[Run]:
    return [simulate({"A": a, "B": b}, load_s, rule or ByPolicy(load_s, ResidencyRules()), seed) for seed in SEEDS]


def percentile(runs: list[Run], name: str, share: float) -> float:
    waits = sorted(wait for run in runs for wait in run.waits[name])
    return waits[int(share * len(waits))]


# What a simulation of another hand had (the facts that the design began with): time lost in switching, share served,
# median and 95th percentile of A's and B's waits in seconds. Its rows for other rules say that the model is the same.
TABLE = [
    (loaded_first, 3.0, 0.5, 0.02, 1, 99.6, (0, 9), (315, 1242)),
    (oldest_first, 3.0, 0.5, 0.02, 7, 99.0, (14, 73), (28, 75)),
    (None, 3.0, 0.5, 0.02, 6, 99.4, (3, 60), (35, 73)),
    (loaded_first, 60.0, 0.5, 0.02, 20, 99.6, (0, 120), (323, 1102)),
    (oldest_first, 60.0, 0.5, 0.02, 50, 97.3, (180, 286), (111, 227)),
    (None, 60.0, 0.5, 0.02, 31, 99.3, (19, 148), (156, 350)),
    (oldest_first, 60.0, 0.2, 0.2, 64, 44.5, (1976, 3775), (1967, 3751)),
    (None, 60.0, 0.2, 0.2, 40, 98.4, (63, 212), (69, 220)),
]


@pytest.mark.parametrize(
    "row", TABLE, ids=lambda row: f"{row[0].__name__ if row[0] else 'ours'} S={row[1]:g} {row[3]}/s"
)
def test_the_table_of_rules_comes_out_again(row: Any) -> None:
    """Within 10 %; medians within 15 %, since they vary that much between five seeds and five others (A at S=60 and

    0.2/s: 61 to 75 s); of `loaded first` all waits within 30 %.
    """
    rule, load_s, a, b, lost, served, waits_a, waits_b = row
    runs = means(rule, load_s, a, b)
    assert 100 * mean(run.lost for run in runs) == pytest.approx(lost, rel=0.1, abs=0.5) or rule is loaded_first
    answered = sum(run.served for run in runs) / sum(run.came for run in runs)
    assert 100 * answered == pytest.approx(served, abs=1)
    near = 0.3 if rule is loaded_first else 0.1
    for name, (median, most) in (("A", waits_a), ("B", waits_b)):
        assert percentile(runs, name, 0.5) == pytest.approx(median, rel=max(near, 0.15), abs=3), name
        assert percentile(runs, name, 0.95) == pytest.approx(most, rel=near, abs=3), name


def test_b_is_served_in_time_while_a_never_pauses() -> None:
    """Of B's waits: patience and residency, the longest answer's draining, a load; A's answers all end."""
    for load_s in (3.0, 60.0):
        runs = means(None, load_s, 0.5, 0.02)
        assert percentile(runs, "B", 0.5) <= 20.0 + 4 * load_s + 60.0 + load_s


@pytest.mark.parametrize("load_s", [3.0, 60.0])
def test_two_models_asked_for_without_pause_do_not_thrash(load_s: float) -> None:
    """More comes than can be served: a load in four times its own time at most, a fifth of the time lost at most."""
    for run in means(None, load_s, 1.0, 1.0):
        assert run.switches <= 1 + 7200.0 / (4 * load_s)
        assert run.lost <= 0.2


@pytest.mark.parametrize("load_s", [3.0, 60.0])
def test_two_models_in_turns_two_hundred_times_each_are_all_served(load_s: float) -> None:
    """A, B, A, B, 0.4 a second: by patience, residency, the longest answer and a load after the last one.

    A switch away from a model that nobody wants costs nobody anything, so the bound is on the others.
    """
    came = [(2.5 * number, "AB"[number % 2]) for number in range(400)]
    until = came[-1][0] + 20.0 + 4 * load_s + 60.0 + load_s
    for seed in SEEDS:
        rule = ByPolicy(load_s, ResidencyRules())
        run = simulate_arrivals(came, load_s, rule, random.Random(seed), until)
        assert len(rule.reasons) >= run.switches
        assert rule.reasons.count("patience") <= 1 + until / (4 * load_s)
        assert run.served >= 0.98 * 400
