from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullbatch import catalog
from fullbatch.core.errors import UsageError
from fullbatch.planning import profile
from fullbatch.planning.feasible import CannotWork, DoesNotFit
from fullbatch.planning.plan import Plan, make

LLAMA_8B = "meta-llama/Llama-3.1-8B-Instruct"
LLAMA_70B = "meta-llama/Llama-3.1-70B-Instruct"
QWEN_7B = "Qwen/Qwen2.5-7B-Instruct"


def _plan(model: str = QWEN_7B, gpu: str = "rtx4090", **changes: Any) -> Plan:
    hardware = {"gpu": gpu} | {key: changes.pop(key) for key in ("count", "replicas", "nodes") if key in changes}
    data = {"description": "d", "model": model, "hardware": hardware}
    return make("x", profile.parse(data | changes, "x"))


def _reason(**changes: Any) -> str:
    with pytest.raises(CannotWork) as raised:
        _plan(**changes)
    assert str(raised.value) == f"profiles/x.yaml: {raised.value.reason}"
    assert "\n" not in raised.value.reason
    return raised.value.reason


@pytest.mark.parametrize("gpu", ["rtx3090", "rtx4090", "rtx5090", "l4", "a10"])
@pytest.mark.parametrize("model", catalog.models()[LLAMA_70B].checkpoints["int4"] + (LLAMA_70B,))
def test_70b_on_a_small_card(model: str, gpu: str) -> None:
    assert "it does not fit; choose a smaller model or more cards" in _reason(model=model, gpu=gpu)


@pytest.mark.parametrize("gpu", ["rtx3090", "a10", "a100-40gb", "a100-80gb"])
def test_an_fp8_cache_where_no_kernel_reads_it(gpu: str) -> None:
    assert _reason(gpu=gpu, kv_cache="fp8").startswith("kv_cache: fp8 needs compute capability 8.9, the ")
    assert "int8_per_token_head" in _reason(gpu=gpu, engine={"args": {"kv-cache-dtype": "fp8_e4m3"}})
    held = _plan(gpu=gpu, engine={"args": {"kv-cache-dtype": "int8_per_token_head"}}).engines[0].capacity
    assert held.kv_tokens > _plan(gpu=gpu).engines[0].capacity.kv_tokens


@pytest.mark.parametrize("gpu", ["rtx4090", "rtx5090", "l4", "l40s", "h100"])
def test_an_fp8_cache_holds_twice_as_many_tokens(gpu: str) -> None:
    plain, small = (_plan(gpu=gpu, kv_cache=kind).engines[0] for kind in ("auto", "fp8"))
    assert small.capacity.kv_tokens == pytest.approx(2 * plain.capacity.kv_tokens, abs=16)
    assert {flag.name: flag.value for flag in small.flags}["kv-cache-dtype"] == "fp8"


def test_fp8_weights_work_on_any_card_but_once() -> None:
    """Below 8.9 they are unpacked (Marlin): memory is saved all the same."""
    made = _plan(gpu="rtx3090", weights="fp8").engines[0]
    assert made.budget.weights_gib == 8.1
    assert {flag.name: flag.value for flag in made.flags}["quantization"] == "fp8_per_tensor"
    assert _reason(model="Qwen/Qwen2.5-7B-Instruct-AWQ", weights="fp8").endswith("is int4 already; remove this setting")


@pytest.mark.parametrize(
    ("model", "count", "said"),
    [(QWEN_7B, 3, "write 2 or 4"), (QWEN_7B, 8, "evenly; write 4"), (LLAMA_8B, 6, "write 4 or 8")],
)
def test_heads_that_do_not_divide(model: str, count: int, said: str) -> None:
    reason = _reason(model=model, count=count)
    assert reason.startswith(f"hardware.count: {count} x GeForce RTX 4090 cannot share ")
    assert reason.endswith(said)


def test_more_seats_than_tokens_in_a_step() -> None:
    reason = _reason(engine={"args": {"max-num-seqs": 600, "max-num-batched-tokens": 512}})
    assert reason.endswith("raise the second to 600")


@pytest.mark.parametrize("changes", [{"weights": "fp8"}, {"kv_cache": "fp8"}])
def test_the_processor_has_no_8_bit(changes: dict[str, str]) -> None:
    data = {"description": "d", "model": "tiny", "hardware": {"cpu": {"kv_cache_gib": 1}}} | changes
    with pytest.raises(CannotWork, match="need a card"):
        make("x", profile.parse(data, "x"))


def test_the_processor_is_not_counted() -> None:
    hardware = {"cpu": {"kv_cache_gib": 1}, "count": 2}
    with pytest.raises(CannotWork, match="count and nodes are for cards"):
        make("x", profile.parse({"description": "d", "model": "tiny", "hardware": hardware}, "x"))


@given(
    st.sampled_from(sorted(catalog.models())),
    st.sampled_from(sorted(catalog.gpus())),
    st.integers(1, 16),
    st.integers(1, 4),
    st.integers(1, 2000),
    st.integers(256, 4096),
    st.fixed_dictionaries(
        {
            "goal": st.sampled_from(["latency", "throughput"]),
            "workload": st.sampled_from(["chat", "rag", "batch"]),
            "kv_cache": st.sampled_from(["auto", "fp8"]),
        }
    ),
)
def test_every_catalog_pair_is_planned_or_refused(
    model: str, gpu: str, count: int, replicas: int, users: int, context: int, changes: dict[str, str]
) -> None:  # fmt: skip
    try:
        plan = _plan(model, gpu, count=count, replicas=replicas, users=users, context=context, **changes)
    except UsageError as refusal:
        assert str(refusal).startswith("profiles/x.yaml: ")
        return
    engine = plan.engines[0]
    held = int(engine.capacity.concurrency_worst) * engine.capacity.request_bytes / 2**30
    assert held + engine.budget.weights_gib + engine.budget.overhead_gib <= engine.budget.usable_gib + 1e-6
    assert engine.budget.usable_gib < catalog.gpus()[gpu].memory_gib * engine.gpus
    assert engine.capacity.longest >= context
    assert (engine.gpus, len(plan.engines), plan.gpus) == (count, replicas, count * replicas)
    assert plan.max_num_seqs <= plan.limits.max_in_flight
    assert plan.admission.max_running + plan.admission.max_queued <= plan.limits.max_in_flight


@given(st.sampled_from(["latency", "throughput"]), st.integers(1, 2000), st.integers(1, 2000))
def test_more_users_never_leave_more_cache(goal: str, a: int, b: int) -> None:
    few, many = (_plan(gpu="h100", users=users, goal=goal).engines[0] for users in sorted((a, b)))
    assert few.max_num_seqs <= many.max_num_seqs
    assert few.capacity.kv_tokens >= many.capacity.kv_tokens


def test_throughput_takes_larger_steps_and_pays_for_them() -> None:
    latency, throughput = (_plan(goal=goal).engines[0] for goal in ("latency", "throughput"))
    assert (latency.max_num_batched_tokens, throughput.max_num_batched_tokens) == (2048, 4096)
    assert throughput.capacity.kv_tokens < latency.capacity.kv_tokens
    names = {flag.name for flag in throughput.flags}
    assert "max-num-batched-tokens" in names


def test_replicas_double_everything_but_the_seats_of_each() -> None:
    one, two = _plan(users=50), _plan(users=50, replicas=2)
    assert two.capacity.kv_tokens == 2 * one.capacity.kv_tokens
    assert [engine.service for engine in two.engines] == ["engine", "engine-2"]
    assert [engine.card_ids for engine in two.engines] == [(0,), (1,)]
    assert [engine.max_num_seqs for engine in two.engines] == [32, 32]
    assert {flag.name for flag in two.engines[0].flags} == {flag.name for flag in one.engines[0].flags}
    assert (two.gpus, two.max_num_seqs) == (2, 64)


@pytest.mark.parametrize("value", [0, 1.5, "1.9", "much", True])
def test_a_utilisation_that_is_none(value: Any) -> None:
    with pytest.raises(UsageError, match="write a number"):
        _plan(engine={"args": {"gpu-memory-utilization": value}})


def test_the_notes_utilisation_holds_less() -> None:
    seed = _plan(engine={"args": {"gpu-memory-utilization": 0.9}}).engines[0]
    assert seed.budget.usable_gib == pytest.approx(0.9 * 23.5)
    assert seed.capacity.kv_tokens < _plan().engines[0].capacity.kv_tokens


def test_an_odd_user_has_a_seat_too() -> None:
    """17 people over two copies: nine in one of them."""
    flags = {flag.name: flag.value for flag in _plan(users=17, replicas=2).engines[0].flags}
    assert flags["max-num-seqs"] == 16


def test_two_machines_share_the_layers() -> None:
    model = "meta-llama/Llama-3.1-405B-Instruct"
    with pytest.raises(DoesNotFit):
        _plan(model, "h100", count=8, context=8192)
    engine = _plan(model, "h100", count=8, nodes=2, context=8192).engines[0]
    flags = {flag.name: flag.value for flag in engine.flags}
    assert (flags["tensor-parallel-size"], flags["pipeline-parallel-size"], flags["nnodes"]) == (8, 2, 2)
    assert (engine.gpus, engine.cards) == (8, 16)
    assert "VLLM_HOST_IP" not in dict(engine.environment), "each machine has its own"


def test_several_machines_and_several_copies_are_refused() -> None:
    assert "nodes and replicas together" in _reason(gpu="h100", nodes=2, replicas=2)


def test_an_engine_on_several_machines_is_not_started_again_in_parts() -> None:
    assert "engine.restart_stuck" in _reason(gpu="h100", nodes=2, engine={"restart_stuck": True})


def test_an_odd_number_of_layers_is_sized_by_the_larger_stage() -> None:
    """Qwen2.5 1.5B: 28 layers over 3 machines are 10, 9 and 9."""
    one, three = (_plan("Qwen/Qwen2.5-1.5B-Instruct", nodes=nodes).engines[0] for nodes in (1, 3))
    assert three.capacity.kv_bytes_per_token == one.capacity.kv_bytes_per_token * 30 // 28
