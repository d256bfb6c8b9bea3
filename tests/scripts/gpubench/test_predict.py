"""What is predicted of a cell before it is measured."""

from __future__ import annotations

import pytest

from fullbatch import catalog
from scripts.gpubench import plans, predict
from scripts.gpubench.matrix import Matrix
from tests.scripts.gpubench.planned import HERE


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
