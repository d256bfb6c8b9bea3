"""What a profile of several models may say, and what is refused, each in a line with what would be right."""

from __future__ import annotations

from typing import Any

import pytest

from fullbatch.core.errors import UsageError
from fullbatch.planning import profile, several
from tests.fullbatch.checkout import REPOSITORY
from tests.fullbatch.several_profiles import CARD, CPU, LLAMA, QWEN, SMOL, SOURCE, asked, on_demand

TWO = [{"model": "tiny"}, {"model": SMOL}]


def _refusal(**data: Any) -> list[str]:
    with pytest.raises(UsageError) as raised:
        several.parse(REPOSITORY, {"description": "d", "hardware": CPU, "models": TWO} | data, SOURCE)
    return str(raised.value).splitlines()


def test_each_model_is_a_profile_of_its_own() -> None:
    made = asked(
        {"model": QWEN, "users": 20, "aliases": ["gpt-4o"]}, on_demand(LLAMA), on_demand("tiny"), hardware=CARD
    )
    assert [part.name for part in made.parts] == [QWEN, LLAMA, "tiny"]
    assert [part.on_demand for part in made.parts] == [False, True, True]
    assert (made.parts[0].profile.users, made.parts[1].profile.users) == (20, 10)
    assert made.parts[0].profile.hardware.device_ids == [0]
    assert made.places() == [(0,)]


def test_models_on_cards_of_their_own() -> None:
    made = asked({"model": QWEN, "cards": [1]}, {"model": LLAMA}, hardware={"gpu": "rtx4090", "device_ids": [1]})
    assert made.places() == [(1,)]
    both = asked({"model": QWEN, "cards": [0]}, {"model": LLAMA, "cards": [1]}, hardware=CARD | {"count": 2})
    assert both.places() == [(0,), (1,)]
    shared = asked({"model": QWEN}, {"model": LLAMA}, hardware=CARD | {"count": 2})
    assert [part.profile.hardware.count for part in shared.parts] == [2, 2]


def test_on_the_processor_a_model_may_have_more_cache_than_the_others() -> None:
    made = asked({"model": "tiny"}, {"model": SMOL, "kv_cache_gib": 2}, hardware=CPU)
    held = [part.profile.hardware.cpu.kv_cache_gib for part in made.parts if part.profile.hardware.cpu]
    assert held == [1, 2]


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ({"model": "tiny"}, "give either model or models; move 'tiny' into models, as one of them"),
        ({"models": TWO[:1]}, "models: there is one; write its settings without `models`, or add another"),
        ({"models": []}, "models: a list should have at least 2 items"),
        ({"users": 3}, "users: write it in each of models that it is for"),
        ({"modells": 3}, "modells: no such setting (did you mean models?)"),
        ({"main_memory_gib": "8"}, "main_memory_gib: '8' should be a valid integer"),
        ({"models": [{"model": "tiny", "contxt": 1}, TWO[1]]}, "models[0]: contxt: no such setting (did you mean cont"),
        (
            {"models": [{"model": "tiny", "when": "later"}, TWO[1]]},
            "models[0]: when: 'later' should be 'always' or 'on",
        ),
        ({"models": [{"model": "tinny"}, TWO[1]]}, "models[0]: 'tinny' is no known model (did you mean tiny?)"),
        (
            {"models": [{"model": "tiny"}, {"model": "tiny"}]},
            "models[1]: models[0] is called 'tiny' too; serve it once",
        ),
        ({"models": [TWO[0], TWO[1] | {"aliases": ["tiny"]}]}, "models[1]: models[0] is called 'tiny' too"),
        (
            {"models": [TWO[0], TWO[1] | {"hardware": CPU}]},
            "models[1]: hardware: is for all models; write it once, besi",
        ),
        ({"models": [TWO[0], TWO[1] | {"cards": [0]}]}, "models[1]: cards: the processor has none; remove it"),
        ({"models": [TWO[0], TWO[1] | {"kv_cache_gib": 0.5}]}, "models[1]: kv_cache_gib: 0.5: write whole GiB on the"),
        (
            {"models": [TWO[0], on_demand(SMOL)]},
            "SmolLM2-135M-Instruct is the only one on demand here, and takes turns",
        ),
        (
            {"models": [on_demand("tiny"), on_demand(SMOL, engine={"restart_stuck": True})]},
            "models[1]: engine.restart_stuck: one that takes turns is started by its launcher; remove it",
        ),
        ({"hardware": CPU | {"replicas": 2}}, "hardware: replicas and nodes are for one model; serve that one from a"),
        (
            {"hardware": CARD, "models": [TWO[0] | {"cards": [1]}, TWO[1]]},
            "there is no card 1 in hardware, which has 0",
        ),
        (
            {"hardware": CARD | {"count": 2}, "models": [TWO[0] | {"cards": [0]}, TWO[1]]},
            "models[1].cards: [0, 1] and [0] of models[0] overlap; models share all of their cards or none",
        ),
        (
            {"models": [TWO[0], TWO[1] | {"engine": {"args": {"gpu-memory-utilization": 0.4}}}]},
            "models[1]: engine.args.gpu-memory-utilization: the plan deals out the memory; write kv_cache_gib instead",
        ),
        ({"residency": {"patience": 3}}, "residency.patience: no such setting (did you mean patience_s?)"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(data: dict[str, Any], line: str) -> None:
    told = _refusal(**data)
    assert len(told) == 1
    assert line in told[0]
    assert told[0].startswith(f"{SOURCE}: ")


def test_every_model_that_is_wrong_is_told_of_at_once() -> None:
    assert len(_refusal(models=[{"model": "tiny", "contxt": 1}, {"model": SMOL, "users": 0}])) == 2


def test_what_takes_one_model_says_so(tmp_path: Any) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles/x.yaml").write_text("models: []\n", encoding="utf-8")
    with pytest.raises(UsageError, match="is for several models; name a profile of one"):
        profile.load(tmp_path, "x")
