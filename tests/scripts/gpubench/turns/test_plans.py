"""Two models on a card that is not the one planned for."""

from __future__ import annotations

import pytest

from fullbatch import catalog
from scripts.gpubench import matrix, models
from scripts.gpubench.plans import Here
from scripts.gpubench.turns import plans

H200_GIB = 139.8


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Here:
    return Here(H200_GIB, tmp_path_factory.mktemp("models"), frozenset({"max-num-queued-reqs"}))


def test_in_turns_each_sleeps_and_has_what_the_small_card_would_give_it(shipped: matrix.Matrix, here: Here) -> None:
    plan = plans.in_turns(shipped.turns[0], shipped, here)
    assert list(plan.turning) == ["card0"]
    assert [engine.served_name for engine in plan.engines] == ["qwen2.5-1.5b", "llama3.1-8b"]
    for engine in plan.engines:
        assert engine.turn is not None and engine.turn.sleep
        given = {flag.name: flag.value for flag in engine.flags}
        assert given["enable-sleep-mode"] is True and given["load-format"] == "dummy"
        assert float(str(given[plans.SHARE])) * H200_GIB <= 0.9 * catalog.gpus()["rtx4090"].memory_gib + 0.02
        assert given["max-num-batched-tokens"] == 2048, "what vLLM chooses on the small card"
        assert "max-num-queued-reqs" not in given
        assert engine.model.startswith("/") and not engine.needs_weights


def test_together_both_have_their_share_and_bytes_and_by_hand_the_share_alone(
    shipped: matrix.Matrix, here: Here
) -> None:
    plan = plans.together(shipped.turns[0], shipped, here)
    assert plan.turning == {} and len(plan.engines) == 2
    shares = []
    for engine in plan.engines:
        given = {flag.name: flag.value for flag in engine.flags}
        shares.append(float(str(given[plans.SHARE])))
        assert int(str(given[plans.BYTES])) > 2**30
        by_hand = {flag.name: flag.value for flag in plans.share_alone(engine).flags}
        assert {name: value for name, value in given.items() if name != plans.BYTES} == by_hand
    assert sum(shares) * H200_GIB < catalog.gpus()["l40s"].memory_gib


def test_a_models_folder_is_written_where_the_plan_looks_for_it(shipped: matrix.Matrix, here: Here) -> None:
    plan = plans.in_turns(shipped.turns[0], shipped, here)
    assert plan.engines[0].model == str(models.directory(here.models, "qwen2.5-1.5b"))
