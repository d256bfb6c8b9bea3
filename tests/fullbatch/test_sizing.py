from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullbatch import catalog, sizing
from fullbatch.sizing import GIB, Budget
from tests.fullbatch.checkout import REPOSITORY

MODELS = catalog.models()

# Published figures: bytes of KV cache a token (16 bit), and tokens a 24 GB card holds beside 16-bit weights.
# The tokens are rounded to thousands; the estimate behind both is good to 1.5 GiB.
PUBLISHED = {
    "Qwen/Qwen2.5-1.5B-Instruct": (28_672, 634_000),
    "Qwen/Qwen2.5-7B-Instruct": (57_344, 105_000),
    "meta-llama/Llama-3.2-3B-Instruct": (114_688, 129_000),
    "meta-llama/Llama-3.1-8B-Instruct": (131_072, 39_000),
}

models = st.sampled_from(sorted(MODELS.values(), key=lambda model: model.name))
gibs = st.floats(min_value=-8, max_value=200, allow_nan=False)
contexts = st.integers(min_value=256, max_value=131_072)
blocks = st.sampled_from([16, 128])


def _budget(kv_gib: float) -> Budget:
    return Budget(total_gib=300, usable_gib=270, weights_gib=1, overhead_gib=1, kv_gib=kv_gib)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_kv_tokens_of_a_24_gb_card(name: str) -> None:
    bytes_per_token, tokens = PUBLISHED[name]
    model = MODELS[name]
    budget = sizing.gpu_budget(catalog.gpus()["rtx4090"], 1, model, catalog.engine())
    capacity = sizing.capacity(budget, model, 4096, 16)
    assert capacity.kv_bytes_per_token == bytes_per_token
    # Published weights are rounded to 0.1 GiB, tokens to 1,000.
    assert capacity.kv_tokens == pytest.approx(tokens, abs=500 + 0.05 * GIB / bytes_per_token)


def test_the_tiny_model_holds_what_vllm_reported() -> None:
    """vLLM 0.32.0 on the CPU with 1 GiB said: CPU KV cache size: 524,288 tokens, 128.00x for 4,096 tokens."""
    capacity = sizing.capacity(sizing.cpu_budget(1, MODELS["tiny"]), MODELS["tiny"], 4096, 128)
    assert capacity.kv_tokens == 524_288
    assert capacity.concurrency_worst == 128.0


@given(models, gibs, contexts, blocks)
def test_never_more_kv_tokens_than_memory(model: catalog.Model, kv_gib: float, context: int, block: int) -> None:
    capacity = sizing.capacity(_budget(kv_gib), model, context, block)
    assert 0 <= capacity.kv_tokens * capacity.kv_bytes_per_token <= max(0.0, kv_gib) * GIB
    assert capacity.kv_tokens % block == 0
    # What is lost is less than a block.
    if kv_gib > 0:
        assert (capacity.kv_tokens + block) * capacity.kv_bytes_per_token > int(kv_gib * GIB)


@given(models, gibs, gibs, contexts, blocks)
def test_more_memory_never_holds_less(model: catalog.Model, a: float, b: float, context: int, block: int) -> None:
    less, more = (sizing.capacity(_budget(gib), model, context, block) for gib in sorted((a, b)))
    assert less.kv_tokens <= more.kv_tokens
    assert less.concurrency_worst <= more.concurrency_worst


@given(models, gibs, contexts, contexts, blocks)
def test_longer_requests_never_fit_more_often(model: catalog.Model, gib: float, a: int, b: int, block: int) -> None:
    shorter, longer = (sizing.capacity(_budget(gib), model, context, block) for context in sorted((a, b)))
    assert shorter.concurrency_worst >= longer.concurrency_worst
    assert shorter.kv_tokens == longer.kv_tokens


@given(models, gibs, contexts, blocks)
def test_the_worst_case_really_fits(model: catalog.Model, gib: float, context: int, block: int) -> None:
    capacity = sizing.capacity(_budget(gib), model, context, block)
    whole = int(capacity.concurrency_worst)
    assert whole * context <= capacity.kv_tokens
    assert capacity.concurrency_worst <= capacity.concurrency_typical


@given(models, st.integers(1, 200))
def test_a_deeper_model_costs_more(model: catalog.Model, layers: int) -> None:
    deeper = dataclasses.replace(model, layers=model.layers + layers)
    assert sizing.kv_bytes_per_token(deeper) > sizing.kv_bytes_per_token(model)


@given(models, st.sampled_from(sorted(catalog.gpus())), st.integers(1, 8))
def test_a_budget_adds_up(model: catalog.Model, card: str, count: int) -> None:
    budget = sizing.gpu_budget(catalog.gpus()[card], count, model, catalog.engine())
    assert budget.weights_gib + budget.overhead_gib + budget.kv_gib == pytest.approx(budget.usable_gib)
    assert budget.usable_gib < budget.total_gib


@given(st.integers(1, 10_000), st.sampled_from([128, 256, 1024]))
def test_every_user_has_a_seat_up_to_the_engines_default(users: int, default: int) -> None:
    seats = sizing.sequences_for(users, default)
    assert min(users, default) <= seats <= default
    assert seats % 8 == 0
    assert sizing.sequences_for(users + 1, default) >= seats


@pytest.mark.parametrize(("users", "seats"), [(1, 8), (8, 8), (9, 16), (50, 56), (10_000, 256)])
def test_seats(users: int, seats: int) -> None:
    assert sizing.sequences_for(users, 256) == seats


def test_the_cpu_pool_is_what_was_asked_for() -> None:
    budget = sizing.cpu_budget(3, MODELS["tiny"])
    assert budget.kv_gib == 3
    assert budget.total_gib == pytest.approx(3 + MODELS["tiny"].weights_gib["bf16"])


def test_the_measured_log_line_is_the_one_the_startup_test_has() -> None:
    text = (REPOSITORY / Path("tests/fullbatch/test_startup.py")).read_text(encoding="utf-8")
    found = re.search(r"CPU KV cache size: ([\d,]+) tokens", text)
    assert found is not None
    assert int(found.group(1).replace(",", "")) == 524_288
