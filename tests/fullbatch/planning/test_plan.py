from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullbatch import catalog
from fullbatch.core.errors import UsageError
from fullbatch.planning import profile
from fullbatch.planning.plan import Plan, make
from tests.fullbatch.shipped import ONE


def _plan(**changes: Any) -> Plan:
    data: dict[str, Any] = {"description": "d", "model": "tiny", "hardware": {"cpu": {"kv_cache_gib": 1}}}
    return make("x", profile.parse(data | changes, "x"))


def _flags(plan: Plan) -> dict[str, Any]:
    return {flag.name: flag.value for flag in plan.engines[0].flags}


def test_the_same_profile_gives_the_same_plan() -> None:
    assert _plan() == _plan()


@pytest.mark.parametrize("name", ONE)
def test_each_flag_of_a_shipped_profile_has_a_reason(name: str, plan_of: Callable[[str], Plan]) -> None:
    plan = plan_of(name)
    assert all(len(flag.reason) > 10 for flag in plan.engines[0].flags)
    assert all(len(reason) > 10 for _, reason in plan.left_to_engine)


@pytest.mark.parametrize("name", ONE)
def test_the_gateway_fires_before_the_engines_own_queue(name: str, plan_of: Callable[[str], Plan]) -> None:
    plan = plan_of(name)
    flags = _flags(plan)
    seats = plan.max_num_seqs
    assert seats < plan.limits.max_in_flight < flags["max-num-queued-reqs"]
    assert plan.admission.max_running + plan.admission.max_queued <= plan.limits.max_in_flight
    # Where throughput is the goal and the cache holds that many, the seats are the engine's own default and not given.
    assert flags.get("max-num-seqs", 256) == plan.engines[0].max_num_seqs
    if "-throughput" not in name:
        assert plan.users <= seats, "a seat for everybody who reads along"


@pytest.mark.parametrize("name", ONE)
def test_what_is_left_to_the_engine_is_not_given_too(name: str, plan_of: Callable[[str], Plan]) -> None:
    plan = plan_of(name)
    assert not set(_flags(plan)) & {flag for flag, _ in plan.left_to_engine}


def test_a_cpu_profile() -> None:
    plan = _plan(hardware={"cpu": {"kv_cache_gib": 3}})
    engine = plan.engines[0]
    assert (engine.device, engine.gpus) == ("cpu", 0)
    assert engine.image == catalog.engine().images["cpu"]
    assert dict(engine.environment)["VLLM_CPU_KVCACHE_SPACE"] == "3"
    assert "gpu-memory-utilization" not in dict(plan.left_to_engine)


def test_a_gpu_profile(plan_of: Callable[[str], Plan]) -> None:
    plan = plan_of("rtx4090-qwen2.5-7b")
    engine = plan.engines[0]
    assert (engine.device, engine.gpus) == ("cuda", 1)
    assert engine.image == catalog.engine().images["cuda"]
    assert "VLLM_CPU_KVCACHE_SPACE" not in dict(engine.environment)
    assert "tensor-parallel-size" not in _flags(plan)


def test_several_cards_share_the_model() -> None:
    plan = _plan(model="Qwen/Qwen2.5-7B-Instruct", hardware={"gpu": "rtx4090", "count": 2})
    assert _flags(plan)["tensor-parallel-size"] == 2
    assert plan.engines[0].gpus == 2
    one = _plan(model="Qwen/Qwen2.5-7B-Instruct", hardware={"gpu": "rtx4090"})
    assert plan.engines[0].capacity.kv_tokens > 2 * one.engines[0].capacity.kv_tokens


def test_the_profiles_own_flags_win_and_say_so() -> None:
    plan = _plan(engine={"args": {"max-num-seqs": 12, "seed": 7, "disable-fastapi-docs": False}})
    engine = plan.engines[0]
    assert _flags(plan)["seed"] == 7
    assert engine.max_num_seqs == 12
    # 12 seats and two more at the engine, and three waiting for each seat.
    assert plan.limits.max_in_flight == 14 + 36
    command = engine.command("m", "h", 1)
    assert command.count("--max-num-seqs") == 1
    assert "--no-disable-fastapi-docs" in command
    assert "--disable-fastapi-docs" not in command
    own = {flag.name for flag in engine.flags if "set in the profile" in flag.reason}
    assert own == {"max-num-seqs", "seed", "disable-fastapi-docs"}


def test_the_profiles_own_length_is_what_is_reckoned_with() -> None:
    engine = _plan(engine={"args": {"max-model-len": 2048, "max-num-batched-tokens": 512}}).engines[0]
    assert (engine.max_model_len, engine.max_num_batched_tokens) == (2048, 512)
    assert engine.capacity.concurrency_worst == pytest.approx(engine.capacity.kv_tokens / 2048)


@pytest.mark.parametrize("flag", ["max-num-seqs", "max-num-batched-tokens", "max-model-len"])
@pytest.mark.parametrize("value", ["lots", 0, -1, 1.5, True, "auto", ""])
def test_a_count_that_is_none_is_refused(flag: str, value: Any) -> None:
    with pytest.raises(UsageError) as raised:
        _plan(engine={"args": {flag: value}})
    wanted = f": engine.args.{flag}: {value!r}: write a whole number"
    assert wanted in str(raised.value)


def test_the_profiles_environment_reaches_the_engine() -> None:
    plan = _plan(engine={"env": {"VLLM_LOGGING_LEVEL": "DEBUG", "VLLM_NO_USAGE_STATS": "0"}})
    environment = dict(plan.engines[0].environment)
    assert environment["VLLM_LOGGING_LEVEL"] == "DEBUG"
    assert environment["VLLM_NO_USAGE_STATS"] == "0"


def test_a_model_too_large_for_the_card_is_refused_with_the_sums() -> None:
    with pytest.raises(UsageError) as raised:
        _plan(model="meta-llama/Llama-3.1-8B-Instruct", hardware={"gpu": "rtx3090"}, context=131_072)
    assert str(raised.value).startswith("profiles/x.yaml: context: 131072 tokens do not fit the KV cache, which holds ")
    fits = int(str(raised.value).rsplit(" ", 1)[1])
    assert _plan(model="meta-llama/Llama-3.1-8B-Instruct", hardware={"gpu": "rtx3090"}, context=fits)


def test_weights_that_do_not_fit_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    small = catalog.Gpu("rtx3090", "a small card", 8.0, "8.6", "cuda_small")
    monkeypatch.setattr(catalog, "gpus", lambda: {"rtx3090": small})
    with pytest.raises(UsageError, match=r"needs 15\.0 GiB for its weights .*choose a smaller model or more cards"):
        _plan(model="meta-llama/Llama-3.1-8B-Instruct", hardware={"gpu": "rtx3090"})


@given(st.integers(1, 10_000), st.integers(256, 8192), st.integers(1, 64))
def test_a_plan_for_any_size_holds_together(users: int, context: int, gib: int) -> None:
    plan = _plan(users=users, context=context, hardware={"cpu": {"kv_cache_gib": gib}})
    engine = plan.engines[0]
    assert engine.max_model_len == context
    assert engine.max_num_seqs <= 128
    assert engine.capacity.concurrency_worst >= 1
    assert all(isinstance(word, str) for word in engine.command("m", "h", 1))


def test_the_engines_histograms_are_fine_enough_to_read(plan_of: Callable[[str], Plan]) -> None:
    """vLLM's own begin at 0.3 s for queue, prefill, decode and the whole answer."""
    [given] = [flag for flag in plan_of("cpu-tiny").engines[0].flags if flag.name == "custom-histogram-buckets"]
    edges = json.loads(str(given.value))
    assert edges.keys() == {"request_latency", "time_to_first_token", "inter_token_latency"}
    assert all(sorted(set(one)) == one and one[0] <= 0.01 for one in edges.values())
    assert "\n" not in given.shown() and len(given.shown()) < 60


def test_usage_tells_of_the_prefix_cache() -> None:
    """Else the cached tokens of `fullbatch usage`, of `gateway_tokens_total` and of the load test are 0 for ever."""
    assert "--enable-prompt-tokens-details" in _plan().engines[0].command("m", "h", 1)
