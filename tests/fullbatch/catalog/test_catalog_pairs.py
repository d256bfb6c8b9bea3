"""Every model of the catalog on every card: what is planned fits; memory, context and users move it one way only."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import pytest

from fullbatch import catalog
from fullbatch.core.errors import UsageError
from fullbatch.planning import profile
from fullbatch.planning.plan import Plan, make

CARDS = sorted(catalog.gpus())
CONTEXTS = (256, 1024, 4096, 16_384)
USERS = (1, 9, 50, 400)
# Of published.yaml one of each kind: windows, two head sizes, states, experts, latents, a narrow cache of its own.
SEVERAL_KINDS = (
    "google/gemma-3-4b-it", "google/gemma-4-12B-it-qat-w4a16-ct", "Qwen/Qwen3.6-27B-FP8", "openai/gpt-oss-20b",
    "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-NVFP4", "zai-org/GLM-4.7-Flash", "deepseek-ai/DeepSeek-V3.2",
)  # fmt: skip
GOALS = (("latency", "chat"), ("throughput", "batch"))


def _plan(model: str, card: str, **changes: Any) -> Plan | None:
    """None: refused, in words."""
    data = {"description": "d", "model": model, "hardware": {"gpu": card}} | changes
    try:
        return make("x", profile.parse(data, "x"))
    except UsageError as refusal:
        assert str(refusal)
        return None


def _models() -> list[str]:
    plain = [name for name in catalog.read("models.yaml") if name != "tiny"]
    return [*plain, *SEVERAL_KINDS]


@pytest.mark.parametrize("card", CARDS)
def test_what_is_planned_fits_and_a_longer_context_never_holds_more(card: str) -> None:
    memory = catalog.gpus()[card].memory_gib
    for model in _models():
        for goal, workload in GOALS:
            plans = [_plan(model, card, context=context, goal=goal, workload=workload) for context in CONTEXTS]
            made = [plan for plan in plans if plan]
            # Once refused for its length, refused for every longer one.
            assert plans[: len(made)] == made, (model, card)
            for plan in made:
                _fits(plan, memory)
            worst = [plan.capacity.concurrency_worst for plan in made]
            running = [plan.admission.max_running for plan in made]
            assert worst == sorted(worst, reverse=True), (model, card)
            assert running == sorted(running, reverse=True), (model, card)


def _fits(plan: Plan, memory: float) -> None:
    budget, held = plan.budget, plan.capacity
    requests = int(held.concurrency_worst) * held.request_bytes / 2**30
    assert held.concurrency_worst >= 1
    assert budget.weights_gib + budget.overhead_gib + requests <= memory * 0.92 + 1e-6, plan.engines[0].model
    assert plan.engines[0].max_num_seqs <= plan.engines[0].max_num_batched_tokens


@pytest.mark.parametrize("card", CARDS)
def test_more_users_never_leave_more_cache_and_never_make_a_shorter_queue(card: str) -> None:
    for model in _models():
        for goal, workload in GOALS:
            plans = [_plan(model, card, context=1024, users=users, goal=goal, workload=workload) for users in USERS]
            for fewer, more in pairwise([plan for plan in plans if plan]):
                assert fewer.capacity.kv_tokens >= more.capacity.kv_tokens, (model, card)
                assert fewer.max_num_seqs <= more.max_num_seqs, (model, card)
                both = fewer.admission, more.admission
                assert sum((both[0].max_running, both[0].max_queued)) <= sum((both[1].max_running, both[1].max_queued))


@pytest.mark.parametrize("card", CARDS)
def test_more_memory_never_holds_less(card: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = dict(catalog.gpus())
    before = {model: _plan(model, card, context=1024) for model in _models()}
    larger = dataclasses.replace(known[card], memory_gib=known[card].memory_gib + 1)
    monkeypatch.setattr(catalog, "gpus", lambda: MappingProxyType(known | {card: larger}))
    for model, plan in before.items():
        more = _plan(model, card, context=1024)
        assert plan is None or (more and more.capacity.kv_tokens > plan.capacity.kv_tokens), (model, card)
        assert plan is None or (more and more.admission.max_running >= plan.admission.max_running), (model, card)
