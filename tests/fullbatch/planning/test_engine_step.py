from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullbatch import catalog
from fullbatch.planning import engine_step, profile, sizing
from fullbatch.planning.engine_step import EngineStep
from fullbatch.planning.feasible import CannotWork
from fullbatch.planning.plan import make

QWEN_7B = "Qwen/Qwen2.5-7B-Instruct"
LLAMA_70B = "RedHatAI/Meta-Llama-3.1-70B-Instruct-FP8"
goals = st.sampled_from(["latency", "throughput"])
workloads = st.sampled_from(["chat", "rag", "batch"])
cards = st.sampled_from(sorted(catalog.gpus()))


def _profile(gpu: str = "rtx4090", **changes: Any) -> profile.Profile:
    hardware = {"gpu": gpu} | ({"replicas": changes.pop("replicas")} if "replicas" in changes else {})
    return profile.parse({"description": "d", "model": QWEN_7B, "hardware": hardware} | changes, "x")


def _choose(gpu: str = "rtx4090", **changes: Any) -> EngineStep:
    asked = _profile(gpu, **changes)
    return engine_step.choose(asked, catalog.models()[asked.model])


def _capacity(typical: float) -> sizing.Capacity:
    return sizing.Capacity(1, 1, typical / 2, typical, 1, 1)


@pytest.mark.parametrize(
    ("gpu", "goal", "workload", "tokens"),
    [
        ("rtx4090", "latency", "chat", 2048),
        ("h100", "latency", "chat", 2048),
        ("rtx4090", "latency", "rag", 4096),
        ("h100", "latency", "rag", 8192),
        ("rtx4090", "throughput", "chat", 4096),
        ("rtx4090", "throughput", "batch", 8192),
        ("h100", "throughput", "batch", 16384),
    ],
)
def test_the_tokens_of_a_step(gpu: str, goal: str, workload: str, tokens: int) -> None:
    assert _choose(gpu, goal=goal, workload=workload).tokens == tokens


def test_a_large_model_makes_no_step_of_16384() -> None:
    assert _choose("h100", model=LLAMA_70B, goal="throughput", workload="batch").tokens == 8192


@given(cards, workloads)
def test_throughput_never_makes_smaller_steps(gpu: str, workload: str) -> None:
    latency, throughput = (_choose(gpu, goal=goal, workload=workload) for goal in ("latency", "throughput"))
    assert latency.tokens <= throughput.tokens
    assert latency.sequences <= throughput.sequences


@given(cards, goals)
def test_long_prompts_and_batches_never_make_smaller_steps_than_a_chat(gpu: str, goal: str) -> None:
    chat, rag, jobs = (_choose(gpu, goal=goal, workload=workload).tokens for workload in ("chat", "rag", "batch"))
    assert chat <= rag
    assert chat <= jobs


@given(cards, goals, workloads, st.integers(1, 5000), st.integers(1, 8))
def test_a_step_gives_each_seat_a_token(gpu: str, goal: str, workload: str, users: int, copies: int) -> None:
    step = _choose(gpu, goal=goal, workload=workload, users=users, replicas=copies)
    assert 1 <= step.sequences <= step.tokens
    assert len(step.why_sequences) > 10
    assert workload in step.why_tokens


def test_what_the_profile_sets_itself_wins() -> None:
    step = _choose(goal="throughput", engine={"args": {"max-num-seqs": 12, "max-num-batched-tokens": 777}})
    assert (step.sequences, step.tokens) == (12, 777)


@given(st.floats(0, 2000), st.integers(1, 256))
def test_for_throughput_no_more_seats_than_fit(typical: float, seats: int) -> None:
    asked = _profile(goal="throughput")
    kept = engine_step.seated(asked, EngineStep(seats, 8192, "why it is so", "why"), _capacity(typical))
    assert kept.sequences <= seats
    assert kept.sequences in (seats, max(8, -(-int(typical) // 8) * 8))


def test_for_latency_the_seats_are_the_users() -> None:
    asked = _profile(users=50)
    step = engine_step.choose(asked, catalog.models()[QWEN_7B])
    assert step.sequences == 56
    assert engine_step.seated(asked, step, _capacity(3)) == step


def test_each_copy_seats_its_share() -> None:
    assert _choose(users=50, replicas=2).sequences == 32
    assert "this engine's share of 50" in _choose(users=50, replicas=2).why_sequences


def test_the_processor_keeps_its_default_step() -> None:
    data = {"description": "d", "model": "tiny", "hardware": {"cpu": {"kv_cache_gib": 1}}, "goal": "throughput"}
    asked = profile.parse(data | {"workload": "batch"}, "x")
    step = engine_step.choose(asked, catalog.models()["tiny"])
    assert (step.sequences, step.tokens) == (128, 2048)


def _blocks(most: int | None) -> sizing.Capacity:
    return dataclasses.replace(_capacity(100), most_seats=most)


@pytest.mark.parametrize(("most", "seats"), [(None, 56), (80, 56), (52, 48), (5, 5)])
def test_never_more_seats_than_there_are_blocks_for_states(most: int | None, seats: int) -> None:
    """vLLM does not start otherwise: "max_num_seqs (56) exceeds available Mamba cache blocks (52)"."""
    asked = _profile(users=50)
    step = engine_step.seated(asked, _choose(users=50), _blocks(most))
    assert step.sequences == seats
    assert ("more do not start" in step.why_sequences) == (seats < 56)


def test_seats_that_are_asked_for_beyond_the_blocks_are_refused() -> None:
    asked = _profile(users=50, engine={"args": {"max-num-seqs": 64}})
    step = _choose(users=50, engine={"args": {"max-num-seqs": 64}})
    with pytest.raises(
        CannotWork, match="max-num-seqs: 64: .* there are 52 blocks: more do not start; write at most 52"
    ):
        engine_step.seated(asked, step, _blocks(52))


def test_the_least_time_of_a_step_is_unknown_where_the_card_alone_does_not_say() -> None:
    data = {"description": "d", "hardware": {"gpu": "h100"}, "users": 1}
    for changes, known in (
        ({"model": "Qwen/Qwen3-8B"}, True),
        ({"model": "Qwen/Qwen3-30B-A3B"}, False),  # which experts are read depends on the batch
        ({"model": "Qwen/Qwen3-8B", "engine": {"args": {"cpu-offload-gb": 2}}}, False),
    ):
        assert (make("x", profile.parse(data | changes, "x")).step_ms is not None) is known
