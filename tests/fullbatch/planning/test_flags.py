from __future__ import annotations

from typing import Any

import pytest

from fullbatch.planning import flags, profile
from fullbatch.planning.engine_step import EngineStep
from fullbatch.planning.flags import Flag


def _profile(**changes: Any) -> profile.Profile:
    data: dict[str, Any] = {"description": "d", "model": "Qwen/Qwen2.5-7B-Instruct", "hardware": {"gpu": "rtx4090"}}
    return profile.parse(data | changes, "x")


def _given(step: EngineStep, **changes: Any) -> dict[str, Any]:
    return {flag.name: flag.value for flag in flags.choose(_profile(**changes), step, 100)}


DEFAULT = EngineStep(256, 2048, "as many as there are", "as it comes")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, ["--x-y"]),
        (False, ["--no-x-y"]),
        (8, ["--x-y", "8"]),
        (0.9, ["--x-y", "0.9"]),
        ("a b", ["--x-y", "a b"]),
        ("", ["--x-y", ""]),
    ],
)
def test_a_flag_as_words(value: Any, words: list[str]) -> None:
    assert Flag("x-y", value, "why").words() == words


def test_what_equals_the_engines_default_is_not_given() -> None:
    found = _given(DEFAULT, goal="throughput")
    assert not {"max-num-seqs", "max-num-batched-tokens", "gpu-memory-utilization"} & set(found)
    assert _given(EngineStep(56, 4096, "w" * 20, "w" * 20))["max-num-batched-tokens"] == 4096


def test_fewer_seats_do_not_narrow_the_cuda_graphs() -> None:
    """The engine ends them at twice the seats, and short prompts are longer than that."""
    assert _given(EngineStep(56, 2048, "w" * 20, "w" * 20))["max-cudagraph-capture-size"] == 512
    assert "max-cudagraph-capture-size" not in _given(DEFAULT)
    assert "max-cudagraph-capture-size" not in _given(
        EngineStep(8, 2048, "w", "w"), hardware={"cpu": {"kv_cache_gib": 1}}
    )


def test_the_engines_own_bound_is_what_it_is_told() -> None:
    assert _given(DEFAULT)["max-num-queued-reqs"] == 100


def test_the_profiles_own_flags_come_last_and_win() -> None:
    found = _given(DEFAULT, engine={"args": {"seed": 7, "max-num-queued-reqs": 5}})
    assert (found["seed"], found["max-num-queued-reqs"]) == (7, 5)


def test_several_machines() -> None:
    found = _given(DEFAULT, hardware={"gpu": "h100", "count": 8, "nodes": 2})
    assert (found["tensor-parallel-size"], found["pipeline-parallel-size"], found["nnodes"]) == (8, 2, 2)
    assert not {"master-addr", "node-rank", "headless"} & set(found), "each machine's own; the template adds them"


def test_copies_are_engines_of_their_own_and_no_flag() -> None:
    assert "data-parallel-size" not in _given(DEFAULT, hardware={"gpu": "rtx4090", "replicas": 2})


def test_what_is_left_is_what_is_not_given() -> None:
    asked = _profile(engine={"args": {"gpu-memory-utilization": 0.9}})
    left = dict(flags.left_to_engine(asked, DEFAULT, flags.choose(asked, DEFAULT, 100)))
    assert "gpu-memory-utilization" not in left
    assert left["max-num-batched-tokens"].startswith("2048")


def test_the_environment_of_the_processor_and_of_several_machines() -> None:
    cpu = dict(flags.environment(_profile(model="tiny", hardware={"cpu": {"kv_cache_gib": 3}})))
    assert cpu["VLLM_CPU_KVCACHE_SPACE"] == "3"
    assert cpu["VLLM_HOST_IP"] == "127.0.0.1"
    assert "VLLM_HOST_IP" not in dict(flags.environment(_profile(hardware={"gpu": "h100", "nodes": 2})))
