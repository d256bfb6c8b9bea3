from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from fullbatch import catalog
from fullbatch.cli import describe
from fullbatch.planning import explain, profile
from fullbatch.planning.plan import Plan, make
from tests.fullbatch.shipped import ONE

# Every flag of the note's command block, and the advice that is no flag.
NOTE = ("model", "port", "max-num-seqs", "max-num-batched-tokens", "max-model-len", "enable-chunked-prefill",
        "enable-prefix-caching", "gpu-memory-utilization", "stay on V0")  # fmt: skip
SEED_ARGS = {
    "max-num-seqs": 256, "max-num-batched-tokens": 16384, "max-model-len": 4096, "enable-chunked-prefill": True,
    "enable-prefix-caching": True, "gpu-memory-utilization": 0.9,
}  # fmt: skip


def _lines(plan: Plan) -> dict[str, explain.FlagVerdict]:
    return {line.flag: line for line in explain.lines(plan)}


def _own(**args: Any) -> dict[str, explain.FlagVerdict]:
    data = {"description": "d", "model": "Qwen/Qwen2.5-7B-Instruct", "hardware": {"gpu": "rtx4090"}}
    return _lines(make("x", profile.parse(data | {"engine": {"args": args}}, "x")))


def test_the_note_is_covered() -> None:
    assert tuple(catalog.flags()["flags"]) == NOTE


def test_a_profile_without_flags_of_its_own(plan_of: Callable[[str], Plan]) -> None:
    found = _lines(plan_of("rtx4090-qwen2.5-7b"))
    assert {name: found[name].verdict for name in NOTE} == {
        "model": "kept",
        "port": "kept",
        "max-num-seqs": "kept",
        "max-num-batched-tokens": "harmful",
        "max-model-len": "kept",
        "enable-chunked-prefill": "default",
        "enable-prefix-caching": "default",
        "gpu-memory-utilization": "stale",
        "stay on V0": "harmful",
    }
    assert found["max-num-seqs"].text.startswith("56 here: a seat in the batch for each of 50 users")
    assert found["shutdown-timeout"].verdict == "kept"


def test_the_notes_own_command() -> None:
    found = _own(**SEED_ARGS)
    assert {name: found[name].verdict for name in SEED_ARGS} == {
        "max-num-seqs": "kept",
        "max-num-batched-tokens": "harmful",
        "max-model-len": "stale",
        "enable-chunked-prefill": "default",
        "enable-prefix-caching": "default",
        "gpu-memory-utilization": "stale",
    }
    assert found["max-num-batched-tokens"].text.startswith("this profile gives 16384. ")


@pytest.mark.parametrize(("value", "verdict"), [(4096, "kept"), (8192, "kept"), (16384, "harmful"), (32768, "harmful")])
def test_a_batch_is_judged_by_its_size(value: int, verdict: str) -> None:
    assert _own(**{"max-num-batched-tokens": value})["max-num-batched-tokens"].verdict == verdict


@pytest.mark.parametrize("name", ONE)
def test_each_flag_of_a_profile_is_there_with_a_reason_and_a_source(
    name: str, plan_of: Callable[[str], Plan]
) -> None:  # fmt: skip
    plan = plan_of(name)
    found = _lines(plan)
    given = {flag.name for flag in plan.engines[0].flags} | set(dict(plan.left_to_engine))
    settings = {f"profile: {one.name}" for one in plan.speed}
    assert given | set(NOTE) | set(catalog.flags()["gone"]) | settings == set(found)
    assert all(len(line.text) > 10 and line.source for line in found.values())
    text = describe.explained(explain.lines(plan))
    flowing = " ".join(text.split())
    assert all(line.text in flowing for line in found.values())
    assert max(map(len, text.splitlines())) <= 130
    assert explain.as_json(explain.lines(plan))[0]["flag"] == "model"


@pytest.mark.parametrize("flag", catalog.flags()["gone"])
def test_what_is_gone_is_told_with_its_successor(flag: str, plan_of: Callable[[str], Plan]) -> None:
    line = _lines(plan_of("cpu"))[flag]
    assert line.verdict == "gone"
    assert re.match(r"(use|remove it) ?", line.text)
