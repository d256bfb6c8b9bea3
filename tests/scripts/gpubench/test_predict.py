"""What is predicted of a cell before it is measured."""

from __future__ import annotations

import pytest

from fullbatch import catalog
from scripts.gpubench import plans, predict
from scripts.gpubench.matrix import Load, Matrix
from tests.scripts.gpubench.planned import HERE


def served(made: Matrix, side: str, model: str = "llama3.1-8b", card: str = "h100") -> predict.Served:
    facts = catalog.models()[made.models[model].repository]
    wanted = made.sides[side]
    engine = None if wanted.is_llama else plans.make(made, model, side, HERE).plan.engines[0]
    return predict.Served(facts, catalog.gpus()[card], wanted, engine)


def said(asked: predict.Served, load: Load, users: int) -> predict.Prediction:
    found = predict.predict(asked, load, users)
    assert found is not None
    return found


def test_predictions_grow_with_users_and_shrink_with_seats(shipped: Matrix) -> None:
    ours, one = served(shipped, "ours"), served(shipped, "one-seat")
    totals = [said(ours, shipped.load, users).total_time_s for users in (1, 5, 10, 50)]
    assert totals == sorted(totals)
    serial = said(one, shipped.load, 50)
    # What the API server does before the first counts once: the others wait for their seat anyway.
    assert serial.total_time_s == pytest.approx(50 * said(one, shipped.load, 1).total_time_s, rel=0.05)
    assert serial.ttft_p50_ms > 10 * said(ours, shipped.load, 50).ttft_p50_ms


def test_no_step_is_predicted_below_what_must_be_read(shipped: Matrix) -> None:
    ours = served(shipped, "ours")
    context = shipped.load.prompt_tokens + shipped.load.output_tokens / 2
    for users in (1, 50):
        floor = predict.floor_s(ours.model, "bf16", ours.gpu.bandwidth_gbs, users, context) * 1000
        assert said(ours, shipped.load, users).itl_p50_ms > floor


def test_nothing_is_predicted_of_a_card_whose_rate_is_not_known(shipped: Matrix) -> None:
    for side in ("ours", "ollama"):
        assert predict.predict(served(shipped, side, card="t4"), shipped.load, 1) is None


def test_llama_cpp_answers_no_more_at_once_than_it_has_slots(shipped: Matrix) -> None:
    one, fifty = served(shipped, "ollama"), served(shipped, "llama-50")
    assert said(one, shipped.load, 50).total_time_s == pytest.approx(50 * said(one, shipped.load, 1).total_time_s)
    assert said(fifty, shipped.load, 50).total_time_s < said(one, shipped.load, 50).total_time_s / 3


def test_fewer_bits_are_predicted_faster_and_hold_more(shipped: Matrix) -> None:
    sides = ("ours", "ours-fp8", "ours-int4")
    floors = [
        predict.floor_s(served(shipped, side).model, shipped.sides[side].precision, 4800, 1, 256) for side in sides
    ]
    assert floors == sorted(floors, reverse=True)
    assert floors[2] < floors[0] / 2
    planned = [plans.make(shipped, "llama3.1-8b", side, HERE).plan.capacity.kv_tokens for side in sides]
    assert planned == sorted(planned)
    assert planned[1] > 2 * planned[0]


# Llama 3.1 8B and Qwen2.5 1.5B on the H200 of 2026-11-30: the first two are of what the step times were learned from.
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
def test_predictions_come_near_what_was_measured(
    shipped: Matrix, model: str, side: str, users: int, ttft_ms: float, itl_ms: float
) -> None:
    found = said(served(shipped, side, model, "h200"), shipped.load, users)
    assert found.itl_p50_ms == pytest.approx(itl_ms, rel=0.2)
    assert found.ttft_p50_ms == pytest.approx(ttft_ms, rel=0.3)


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
