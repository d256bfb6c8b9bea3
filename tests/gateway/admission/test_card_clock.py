"""Service on a card: two models give a person one share, and a large model's tokens weigh more."""

from __future__ import annotations

import pytest

from gateway.admission.card_clock import CardClock, Cards


def test_a_models_tokens_weigh_what_it_costs() -> None:
    clock = CardClock({"small": 1.0, "large": 8.0}, 120.0, 0.0)
    clock.took("ann", "small", 100.0, 1.0, 0.0)
    clock.took("bob", "large", 100.0, 1.0, 0.0)
    assert clock.attained.service("bob", 0.0) == 8 * clock.attained.service("ann", 0.0) == 800.0
    clock.gave("bob", "large", -50.0, 1.0, 0.0)
    assert clock.attained.service("bob", 0.0) == 400.0
    assert dict(clock.running) == {"ann": 1}


def test_two_models_are_one_share() -> None:
    clock = CardClock({"a": 1.0, "b": 1.0}, 120.0, 0.0)
    for model in "ab":
        clock.took("both", model, 100.0, 1.0, 0.0)
    clock.took("one", "a", 100.0, 1.0, 0.0)
    assert clock.attained.rank("both") == 2 * clock.attained.rank("one")


def test_whoever_was_idle_on_this_card_has_no_more_to_catch_up() -> None:
    clock = CardClock({"a": 1.0}, 120.0, 0.0)
    clock.took("ann", "a", 100.0, 1.0, 0.0)
    clock.came("bob", {"ann"})
    assert clock.attained.rank("bob") == clock.attained.rank("ann")
    clock.took("ann", "a", 100.0, 1.0, 0.0)
    clock.took("bob", "a", 1.0, 1.0, 0.0)
    clock.came("bob", set())  # it is not idle
    assert clock.attained.rank("bob") < clock.attained.rank("ann")


def test_each_card_has_its_own_and_keeps_it_over_a_reload() -> None:
    cards = Cards()
    kept = cards.by_model
    cards.use([{"a": 1.0, "b": 2.0}, {"c": 1.0}], 120.0, 0.0)
    assert cards.by_model is kept
    assert cards.by_model["a"] is cards.by_model["b"] is not cards.by_model["c"]
    cards.by_model["a"].took("ann", "a", 100.0, 1.0, 0.0)
    assert (cards.service("b", "ann"), cards.service("c", "ann")) == (100.0, 0.0)
    cards.use([{"a": 3.0}], 120.0, 10.0)
    assert cards.service("a", "ann") == 100.0
    assert set(cards.by_model) == {"a"}
    cards.by_model["a"].gave("ann", "b", 0.0, 1.0, 10.0)  # one that takes no turns any more still ran
    cards.fade(60.0, 130.0)
    assert cards.by_model["a"].attained.service("ann", 130.0) == pytest.approx(50.0, rel=0.1)
