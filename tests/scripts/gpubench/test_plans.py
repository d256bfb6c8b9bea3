"""The plans that the bench makes of its matrix, for a card that is not the one planned for."""

from __future__ import annotations

from pathlib import Path

import pytest

from fullbatch import catalog
from scripts.gpubench import plans
from scripts.gpubench.matrix import Matrix
from tests.scripts.gpubench.planned import H100_GIB, HERE, flags


def test_every_vllm_side_of_the_matrix_has_a_plan_or_says_why_not(shipped: Matrix) -> None:
    for cell in shipped.cells:
        for side in cell.sides:
            if not shipped.sides[side].is_llama:
                assert plans.make(shipped, cell.model, side, HERE).refusal is None
        for side in cell.refused:
            assert "do not fit" in str(plans.make(shipped, cell.model, side, HERE).refusal)


def test_memory_is_that_of_the_card_planned_for(shipped: Matrix) -> None:
    given = flags(shipped, "llama3.1-8b", "ours")
    card = catalog.gpus()["rtx4090"]
    utilization = catalog.engine().default_gpu_memory_utilization
    assert given["gpu-memory-utilization"] * H100_GIB == pytest.approx(utilization * card.memory_gib, rel=1e-3)
    assert flags(shipped, "llama3.1-8b", "seed")["gpu-memory-utilization"] < given["gpu-memory-utilization"]


def test_a_bare_side_has_its_own_words_and_the_small_cards_defaults(shipped: Matrix) -> None:
    given = flags(shipped, "qwen2.5-1.5b", "naive")
    assert given.pop("gpu-memory-utilization")
    assert given == {"load-format": "dummy", "max-num-batched-tokens": 2048, "max-num-seqs": 256}


def test_flags_the_engine_lacks_are_left_out(shipped: Matrix) -> None:
    with_all = plans.Here(H100_GIB, Path("/models"))
    assert "max-num-queued-reqs" in flags(shipped, "qwen2.5-1.5b", "ours", with_all)
    assert "max-num-queued-reqs" not in flags(shipped, "qwen2.5-1.5b", "ours")


def test_what_one_thing_taken_away_changes_is_that_thing(shipped: Matrix) -> None:
    ours = flags(shipped, "qwen2.5-1.5b", "ours")
    graphs = {"max-cudagraph-capture-size": ours["max-cudagraph-capture-size"]}
    assert flags(shipped, "qwen2.5-1.5b", "eager") | graphs == ours | {"enforce-eager": True}
    assert flags(shipped, "qwen2.5-1.5b", "one-seat") == ours | {"max-num-seqs": 1}


def test_four_bit_is_another_checkpoint_and_eight_bit_the_same_one(shipped: Matrix) -> None:
    assert shipped.checkpoint("llama3.1-8b", "ours-fp8") == shipped.models["llama3.1-8b"].repository
    awq = shipped.checkpoint("llama3.1-8b", "ours-int4")
    assert catalog.models()[awq].precision == "int4"
    assert "quantization" in flags(shipped, "llama3.1-8b", "ours-fp8")
    made = plans.make(shipped, "llama3.1-8b", "ours-int4", HERE).plan
    assert made.engines[0].model.endswith("llama3.1-8b-int4")
