"""What gateway.yaml says of the cards, for one model, copies of it, several machines, and several models."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import TypeAdapter

from fullbatch.planning import card_memory
from fullbatch.planning.plan import Plan
from gateway.config.memory_settings import CardMemory


@pytest.mark.parametrize(
    ("name", "titles"),
    [
        ("cpu-smollm2", ["main memory"]),
        ("rtx4090-qwen2.5-7b", ["1 card"]),
        ("rtx4090x2-llama3.1-8b-fp8", ["card 0", "card 1"]),
        ("h100x4-llama3.1-70b", ["4 cards"]),
        ("h100x8x2-llama3.1-405b", ["8 cards on each of 2 machines"]),
    ],
)
def test_each_engine_of_one_model_has_cards_of_its_own(
    name: str, titles: list[str], plan_of: Callable[[str], Plan]
) -> None:
    plan = plan_of(name)
    cards = card_memory.settings(plan)
    assert [card["title"] for card in cards] == titles
    assert [part["engine"] for card in cards for part in card["parts"]] == [one.service for one in plan.engines]
    assert cards[0]["parts"][0]["kv_gib"] == pytest.approx(plan.engines[0].budget.kv_gib, abs=0.01)


def test_what_the_plan_leaves_free_is_free(plan_of: Callable[[str], Plan]) -> None:
    plan = plan_of("rtx4090-qwen2.5-7b")
    (card,) = TypeAdapter(list[CardMemory]).validate_python(card_memory.settings(plan), strict=False)
    assert card.free_gib == pytest.approx(plan.budget.total_gib - plan.budget.usable_gib, abs=0.05)


@pytest.mark.parametrize("name", ["rtx4090-two-in-turns", "rtx4090x2-qwen-llama", "cpu-two-models"])
def test_several_models_share_a_bar(name: str, plan_of: Callable[[str], Plan]) -> None:
    plan = plan_of(name)
    cards = TypeAdapter(list[CardMemory]).validate_python(card_memory.settings(plan), strict=False)
    assert len(cards) == len(plan.places)
    assert {part.engine for card in cards for part in card.parts} == {engine.service for engine in plan.engines}
    for card, place in zip(cards, plan.places, strict=True):
        assert card.free_gib == pytest.approx(max(0, place.free_gib), abs=0.1)
        assert card.turn_gib == pytest.approx(place.turn_gib, abs=0.05)
