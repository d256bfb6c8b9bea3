"""The bench's matrix, and the plans it makes of it for a card that is not the one planned for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fullbatch import catalog
from fullbatch.core.errors import UsageError
from scripts.gpubench import matrix, plans, predict
from scripts.gpubench.matrix import Matrix

H100_GIB = 79.18
HERE = plans.Here(H100_GIB, Path("/models"), frozenset({"max-num-queued-reqs"}))


@pytest.fixture
def shipped() -> Matrix:
    return matrix.read(matrix.PLACE / "matrix.yaml")


def flags(made: Matrix, model: str, side: str, here: plans.Here = HERE) -> dict[str, Any]:
    engine = plans.make(made, model, side, here).plan.engines[0]
    return {flag.name: flag.value for flag in engine.flags}


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


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"plans_for": "rtx9999"}, "no known card"),
        ({"models": {"m": {"repository": "nobody/nothing"}}}, "no model of the catalog"),
        ({"sides": {"s": {"about": "neither"}}}, "users (vLLM) or slots (llama.cpp)"),
        ({"cells": [{"name": "c", "model": "x", "sides": ["y"]}]}, "'x' is no model here; cell c: 'y' is no side here"),
        ({"sides": {"s": {"about": "s", "users": 8, "precision": "int4"}}}, "no 4-bit checkpoint of tiny"),
        ({"sides": {"s": {"about": "s", "slots": 1, "precision": "fp8"}}}, "precision is for vLLM by a plan"),
        ({"load": {"prompt_tokens": 0, "output_tokens": 1, "users": [1]}}, "load.prompt_tokens"),
    ],
)
def test_a_matrix_that_cannot_be_run_is_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    good = {
        "version": 1,
        "plans_for": "rtx4090",
        "load": {"prompt_tokens": 1, "output_tokens": 1, "users": [1]},
        "models": {"m": {"repository": "tiny"}},
        "sides": {"s": {"about": "one", "users": 8}},
        "cells": [{"name": "c", "model": "m", "sides": ["s"]}],
    }
    path = tmp_path / "matrix.yaml"
    path.write_text(yaml.safe_dump(good))
    assert matrix.read(path).cells[0].name == "c"
    path.write_text(yaml.safe_dump(good | change))
    with pytest.raises(UsageError) as refused:
        matrix.read(path)
    assert said in str(refused.value)


def test_a_cell_may_ask_for_another_load(shipped: Matrix) -> None:
    cell = next(cell for cell in shipped.cells if "prompt_tokens" in cell.load)
    load = shipped.load_of(cell)
    assert load.prompt_tokens == cell.load["prompt_tokens"] != shipped.load.prompt_tokens
    assert load.requests_per_user == shipped.load.requests_per_user


def served(made: Matrix, side: str, seats: int) -> predict.Served:
    model = catalog.models()[made.models["llama3.1-8b"].repository]
    return predict.Served(model, catalog.gpus()["h100"], made.sides[side], seats)


def test_predictions_grow_with_users_and_shrink_with_seats(shipped: Matrix) -> None:
    ours, one = served(shipped, "ours", 56), served(shipped, "one-seat", 1)
    totals = [predict.predict(ours, shipped.load, users).total_time_s for users in (1, 5, 10, 50)]
    assert totals == sorted(totals)
    serial = predict.predict(one, shipped.load, 50)
    assert serial.total_time_s == pytest.approx(50 * predict.predict(one, shipped.load, 1).total_time_s)
    assert serial.ttft_p50_ms > 10 * predict.predict(ours, shipped.load, 50).ttft_p50_ms


def test_no_step_is_predicted_below_what_must_be_read(shipped: Matrix) -> None:
    ours = served(shipped, "ours", 56)
    context = shipped.load.prompt_tokens + shipped.load.output_tokens / 2
    for users in (1, 50):
        floor = predict.floor_s(ours.model, "bf16", ours.gpu.bandwidth_gbs, users, context) * 1000
        assert predict.predict(ours, shipped.load, users).itl_p50_ms > floor


def test_fewer_bits_are_predicted_faster_and_hold_more(shipped: Matrix) -> None:
    sides = ("ours", "ours-fp8", "ours-int4")
    floors = [
        predict.floor_s(served(shipped, side, 56).model, shipped.sides[side].precision, 4800, 1, 256) for side in sides
    ]
    assert floors == sorted(floors, reverse=True)
    assert floors[2] < floors[0] / 2
    planned = [plans.make(shipped, "llama3.1-8b", side, HERE).plan.capacity.kv_tokens for side in sides]
    assert planned == sorted(planned)
    assert planned[1] > 2 * planned[0]


def test_four_bit_is_another_checkpoint_and_eight_bit_the_same_one(shipped: Matrix) -> None:
    assert shipped.checkpoint("llama3.1-8b", "ours-fp8") == shipped.models["llama3.1-8b"].repository
    awq = shipped.checkpoint("llama3.1-8b", "ours-int4")
    assert catalog.models()[awq].precision == "int4"
    assert "quantization" in flags(shipped, "llama3.1-8b", "ours-fp8")
    made = plans.make(shipped, "llama3.1-8b", "ours-int4", HERE).plan
    assert made.engines[0].model.endswith("llama3.1-8b-int4")


# Llama 3.1 8B and Qwen2.5 1.5B on the H200 of 2026-11-30: what the shares were fitted on.
@pytest.mark.parametrize(
    ("model", "side", "users", "ttft_ms", "itl_ms"),
    [
        ("llama3.1-8b", "ours", 1, 19.8, 4.79),
        ("llama3.1-8b", "ours", 50, 149.2, 5.73),
        ("llama3.1-8b", "ours-fp8", 10, 48.11, 3.41),
        ("llama3.1-8b", "ours-fp8", 50, 123.5, 4.24),
        ("llama3.1-8b", "ours-int4", 1, 19.18, 3.81),
        ("qwen2.5-1.5b", "ours", 10, 42.2, 2.19),
    ],
)
def test_predictions_come_near_what_they_were_fitted_on(
    shipped: Matrix, model: str, side: str, users: int, ttft_ms: float, itl_ms: float
) -> None:
    facts = catalog.models()[shipped.models[model].repository]
    said = predict.predict(predict.Served(facts, catalog.gpus()["h200"], shipped.sides[side], 56), shipped.load, users)
    assert said.itl_p50_ms == pytest.approx(itl_ms, rel=0.2)
    assert said.ttft_p50_ms == pytest.approx(ttft_ms, rel=0.3)


@pytest.mark.parametrize(
    ("name", "card"),
    [
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA GeForce RTX 4090", "rtx4090"),
        ("NVIDIA L40S", "l40s"),
        ("Radeon", None),
    ],
)
def test_the_drivers_name_of_a_card(name: str, card: str | None) -> None:
    found = predict.card_named(name)
    assert (found.name if found else None) == card
