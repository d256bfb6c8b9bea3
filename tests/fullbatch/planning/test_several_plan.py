"""Several models on the same cards: what each gets, who takes turns, and what the engines are told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fullbatch.core.errors import UsageError
from fullbatch.planning.engine_plan import EnginePlan
from fullbatch.planning.sizing import GIB
from tests.fullbatch.several_profiles import (
    BGE,
    CARD,
    CPU,
    EMBEDDING,
    LLAMA,
    QWEN,
    QWEN_AWQ,
    SMOL,
    on_demand,
    planned,
)


def _flags(engine: EnginePlan) -> dict[str, Any]:
    return {flag.name: flag.value for flag in engine.flags}


def test_together_each_engine_gets_both_numbers() -> None:
    plan = planned({"model": QWEN_AWQ, "users": 20, "context": 8192}, {"model": EMBEDDING, "context": 2048})
    (place,) = plan.places
    assert place.title == "card 0, GeForce RTX 4090"
    for engine, share in zip(plan.engines, place.shares, strict=True):
        given = _flags(engine)
        assert given["kv-cache-memory-bytes"] == pytest.approx(share.kv_gib * GIB, abs=2**20)
        assert given["gpu-memory-utilization"] * place.total_gib == pytest.approx(share.gib + 0.5, abs=0.03)
        assert engine.capacity.concurrency_typical >= min(engine.max_num_seqs, 10)
    assert place.free_gib == pytest.approx(0.08 * place.total_gib), "what the engine leaves free by itself"
    assert plan.engines[0].capacity.concurrency_typical > 20, "what is left goes to the one that writes"
    assert plan.gpus == 1
    assert plan.card_ids == (0,)
    assert not [flag for flag in plan.engines[0].flags if "engine.args" in flag.reason], "nobody has written them"


def test_a_model_that_keeps_nothing_of_a_request_gets_no_cache() -> None:
    plan = planned({"model": QWEN_AWQ}, {"model": BGE, "context": 1024})
    assert "kv-cache-memory-bytes" not in _flags(plan.engines[1])
    assert plan.places[0].shares[1].kv_gib == 0


def test_in_turns_each_has_what_the_largest_takes() -> None:
    plan = planned(
        on_demand(QWEN), on_demand(LLAMA), {"model": EMBEDDING, "context": 512, "users": 4}, hardware={"gpu": "l40s"}
    )
    first, second, _ = plan.engines
    assert first.turn is not None
    assert first.turn.sleep
    assert second.turn is not None
    assert (first.turn.card, second.turn.card) == ("card0", "card0")
    assert _flags(first)["enable-sleep-mode"] is True
    shares = plan.places[0].shares
    assert shares[0].gib == pytest.approx(shares[1].gib, abs=0.01)
    assert plan.places[0].kept_gib == pytest.approx(2.14)
    assert list(plan.turning) == ["card0"]
    assert [engine.served_name for engine in plan.always] == [EMBEDDING]
    assert any("29.2 GiB of weights that sleep" in line for line in plan.assumptions)


def test_too_little_main_memory_means_stop_and_start() -> None:
    plan = planned(on_demand(QWEN), on_demand(LLAMA), main_memory_gib=24)
    first, second = (engine.turn for engine in plan.engines)
    assert first is not None
    assert second is not None
    assert (first.sleep, second.sleep) == (True, False), "the smaller sleeps"
    assert "enable-sleep-mode" not in _flags(plan.engines[1])


def test_one_model_on_a_card_has_it_for_itself() -> None:
    plan = planned({"model": QWEN, "cards": [0]}, {"model": LLAMA, "cards": [1]}, hardware=CARD | {"count": 2})
    assert [engine.card_ids for engine in plan.engines] == [(0,), (1,)]
    assert plan.gpus == 2
    assert not set(_flags(plan.engines[0])) & {"gpu-memory-utilization", "kv-cache-memory-bytes"}


def test_on_the_processor_nobody_sleeps() -> None:
    plan = planned(on_demand("tiny"), on_demand(SMOL), hardware=CPU)
    assert [engine.turn.sleep for engine in plan.engines if engine.turn] == [False, False]
    assert plan.places[0].turn_gib == plan.places[0].total_gib == pytest.approx(2.75)
    together = planned({"model": "tiny"}, {"model": SMOL}, hardware=CPU)
    assert together.places[0].total_gib == pytest.approx(5.2565)


def test_engines_have_names_of_their_own_that_fit_a_socket() -> None:
    plan = planned({"model": QWEN_AWQ}, {"model": EMBEDDING}, {"model": BGE, "context": 1024})
    names = [engine.service for engine in plan.engines]
    assert names == ["engine-qwen2-5-7b-instruct-awq", "engine-qwen3-embedding-0-6b", "engine-bge-m3"]
    assert max(map(len, names)) <= 30


def test_the_gateway_lets_in_what_all_models_let_in() -> None:
    plan = planned({"model": "tiny", "users": 5}, {"model": SMOL, "users": 7, "workload": "batch"}, hardware=CPU)
    assert plan.admission.users == plan.users == 12
    assert plan.admission.queue_timeout_s == 600
    assert [engine.max_running for engine in plan.engines] == [9, 9]
    assert plan.admission.max_running + plan.admission.max_queued <= plan.limits.max_in_flight


def test_a_cache_that_was_asked_for_is_what_it_gets() -> None:
    plan = planned({"model": QWEN_AWQ, "kv_cache_gib": 3.0}, {"model": EMBEDDING, "kv_cache_gib": 2.0})
    assert [_flags(engine)["kv-cache-memory-bytes"] for engine in plan.engines] == [3 * GIB, 2 * GIB]


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from([2048, 4096, 8192]), st.booleans())
def test_a_plan_for_any_people_fits_or_is_refused(first: int, second: int, context: int, turns: bool) -> None:
    when = "on-demand" if turns else "always"
    one = {"model": QWEN_AWQ, "users": first, "context": context, "when": when}
    two = {"model": "Qwen/Qwen3-0.6B", "users": second, "context": context, "when": when}
    try:
        plan = planned(one, two)
    except UsageError as refusal:
        assert "do not fit" in str(refusal)
        return
    assert plan.places[0].free_gib >= 0.079 * plan.places[0].total_gib
    for engine, users in zip(plan.engines, (first, second), strict=True):
        assert engine.capacity.concurrency_typical >= users


def test_a_cache_by_hand_that_holds_no_request_is_refused_by_its_own_name() -> None:
    with pytest.raises(UsageError, match=r"models\[0\]: kv_cache_gib: 0.001 does not hold one request .* at least 0.2"):
        planned({"model": QWEN, "kv_cache_gib": 0.001, "when": "on-demand"}, on_demand(LLAMA))
