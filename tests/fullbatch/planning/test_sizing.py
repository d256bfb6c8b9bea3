from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullbatch import catalog
from fullbatch.planning import kvcache, sizing
from fullbatch.planning.kvcache import Cache
from fullbatch.planning.sizing import GIB, Budget, Capacity, Machine
from tests.fullbatch.checkout import REPOSITORY

MODELS = catalog.models()
CARDS = catalog.gpus()
ENGINE = catalog.engine()
CALIBRATION = catalog.calibration()

# Published figures: bytes of KV cache a token (16 bit), and thousands of tokens a 24 GB card holds beside weights of
# 16, 8 and 4 bit (0.92 x 23.5 GiB, 1.8 GiB overhead); None where the weights do not fit. Good to 1.5 GiB.
PUBLISHED: dict[str, tuple[int, tuple[int | None, ...]]] = {
    "Qwen/Qwen2.5-1.5B-Instruct": (28_672, (634, 680, 701)),
    "Qwen/Qwen2.5-7B-Instruct": (57_344, (105, 219, 272)),
    "Qwen/Qwen2.5-14B-Instruct": (196_608, (None, 25, 56)),
    "Qwen/Qwen3-4B": (147_456, (89, 114, 125)),
    "Qwen/Qwen3-8B": (147_456, (33, 80, 102)),
    "meta-llama/Llama-3.2-3B-Instruct": (114_688, (129, 154, 165)),
    "meta-llama/Llama-3.1-8B-Instruct": (131_072, (39, 93, 118)),
    "meta-llama/Llama-3.1-70B-Instruct": (327_680, (None, None, None)),
    "meta-llama/Llama-3.1-405B-Instruct": (516_096, (None, None, None)),
    "mistralai/Mistral-7B-Instruct-v0.3": (131_072, (51, 105, 130)),
    "microsoft/Phi-3-mini-4k-instruct": (393_216, (34, 43, 48)),
    "microsoft/Phi-3-medium-4k-instruct": (204_800, (None, 34, 65)),
    "google/gemma-2-2b-it": (106_496, (150, 169, 178)),
    "deepseek-ai/deepseek-coder-33b-instruct": (253_952, (None, None, 11)),
    "codellama/CodeLlama-34b-Instruct-hf": (196_608, (None, None, 13)),
}
ROWS = [
    (name, precision, per_token, kilo)
    for name, (per_token, kilos) in PUBLISHED.items()
    for precision, kilo in zip(("bf16", "fp8", "int4"), kilos, strict=True)
]

cards = st.sampled_from(sorted(CARDS.values(), key=lambda card: card.name))
cache_dtypes = st.sampled_from(
    ["auto", "fp8", "fp8_e5m2", "int8_per_token_head", "int4_per_token_head", "nvfp4", "odd"]
)
models = st.sampled_from(sorted(MODELS.values(), key=lambda model: model.name))
decoders = models.filter(lambda model: bool(model.keeps))  # an encoder keeps nothing of a request
gibs = st.floats(min_value=-8, max_value=200, allow_nan=False)
contexts = st.integers(min_value=256, max_value=131_072)
blocks = st.sampled_from([16, 128])


def _on(card: catalog.Gpu, cards: int, model: catalog.Model, knobs: sizing.Knobs | None = None) -> Budget:
    return sizing.gpu_budget(Machine(card, cards, ENGINE, CALIBRATION), model, knobs)


def _budget(kv_gib: float) -> Budget:
    return Budget(total_gib=300, usable_gib=270, weights_gib=1, overhead_gib=1, kv_gib=kv_gib)


@pytest.mark.parametrize(("name", "precision", "per_token", "kilo"), ROWS)
def test_the_published_kv_tokens_of_a_24_gb_card(name: str, precision: str, per_token: int, kilo: int | None) -> None:
    model = MODELS[name]
    budget = _on(CARDS["rtx4090"], 1, model, sizing.Knobs(precision))
    # They were reckoned with the same 1.8 GiB for all.
    budget = _budget(budget.usable_gib - budget.weights_gib - CALIBRATION.overhead)
    capacity = sizing.capacity(budget, model, 4096, Cache())
    assert capacity.kv_bytes_per_token == per_token
    if kilo is None:
        assert capacity.kv_tokens == 0
        return
    # Published weights are rounded to 0.1 GiB; of the tokens the thousands stand there, cut off.
    assert capacity.kv_tokens == pytest.approx(1000 * kilo + 500, abs=500 + 0.05 * GIB / per_token)


@pytest.mark.parametrize(
    ("name", "precision", "reported"),
    [
        ("Qwen/Qwen2.5-1.5B-Instruct", "bf16", 658_384),
        ("Qwen/Qwen2.5-1.5B-Instruct", "fp8", 704_800),
        ("Qwen/Qwen2.5-1.5B-Instruct", "int4", 727_632),
        ("meta-llama/Llama-3.1-8B-Instruct", "bf16", 40_560),
        ("meta-llama/Llama-3.1-8B-Instruct", "fp8", 94_016),
        ("meta-llama/Llama-3.1-8B-Instruct", "int4", 118_048),
    ],
)
def test_the_kv_tokens_that_an_h200_reported(name: str, precision: str, reported: int) -> None:
    """First starts of vLLM 0.32.0, capped to a 4090's memory (docs/results/2026-11-30-h200*)."""
    budget = _on(CARDS["rtx4090"], 1, MODELS[name], sizing.Knobs(precision))
    assert sizing.capacity(budget, MODELS[name], 4096, Cache()).kv_tokens == pytest.approx(reported, rel=0.03)


def test_the_feed_forward_of_a_larger_step_is_cut_over_the_cards() -> None:
    """Llama 3.1 70B at 8,192 tokens: 0.5 GiB of each of 4 cards too much were kept, 0.6 of 8."""
    model = MODELS["meta-llama/Llama-3.1-70B-Instruct"]

    def beside(cards: int, tensor: int, tokens: int) -> float:
        knobs = sizing.Knobs(batched_tokens=tokens, tensor=tensor)
        return _on(CARDS["h100"], cards, model, knobs).overhead_gib / cards

    assert beside(4, 1, 8192) - beside(4, 4, 8192) == pytest.approx(0.49, abs=0.01)
    assert beside(8, 1, 8192) - beside(8, 8, 8192) == pytest.approx(0.57, abs=0.01)
    # The width of the model is on every card, and the reference step costs what was measured.
    assert beside(8, 8, 8192) - beside(8, 8, 2048) == pytest.approx((2 * 28672 / 8 + 6 * 8192) * 6144 * 2 / GIB)
    assert beside(8, 8, 2048) == beside(8, 1, 2048) == pytest.approx(CALIBRATION.overhead)


def test_the_tiny_model_holds_what_vllm_reported() -> None:
    """vLLM 0.32.0 on the CPU with 1 GiB said: CPU KV cache size: 524,288 tokens, 128.00x for 4,096 tokens."""
    capacity = sizing.capacity(sizing.cpu_budget(1, MODELS["tiny"]), MODELS["tiny"], 4096, Cache(block=128))
    assert capacity.kv_tokens == 524_288
    assert capacity.concurrency_worst == 128.0


@given(decoders, gibs, contexts, blocks)
def test_never_more_requests_than_memory(model: catalog.Model, kv_gib: float, context: int, block: int) -> None:
    capacity = sizing.capacity(_budget(kv_gib), model, context, Cache(block=block))
    whole = int(capacity.concurrency_worst)
    assert 0 <= whole * capacity.request_bytes <= max(0.0, kv_gib) * GIB
    # What is lost is less than a request.
    if kv_gib > 0:
        assert (whole + 1) * capacity.request_bytes > int(kv_gib * GIB) - capacity.request_bytes
    assert capacity.kv_tokens == int(capacity.concurrency_worst * context)


@given(models, gibs, contexts, blocks)
def test_the_longest_request_fits_and_one_more_token_does_not(
    model: catalog.Model, kv_gib: float, context: int, block: int
) -> None:
    held = sizing.capacity(_budget(kv_gib), model, context, Cache(block=block))
    layout = kvcache.layout(model, Cache(block=block))
    # One block of the pool is the engine's own.
    usable = max(0, int(kv_gib * GIB)) // layout.block_bytes - 1
    assert held.longest == 0 or layout.blocks(held.longest) <= usable
    assert held.longest == model.native_context or layout.blocks(held.longest + 1) > usable


@given(models, gibs, gibs, contexts, blocks)
def test_more_memory_never_holds_less(model: catalog.Model, a: float, b: float, context: int, block: int) -> None:
    less, more = (sizing.capacity(_budget(gib), model, context, Cache(block=block)) for gib in sorted((a, b)))
    assert less.kv_tokens <= more.kv_tokens
    assert less.concurrency_worst <= more.concurrency_worst


@given(models, gibs, contexts, contexts, blocks)
def test_longer_requests_never_fit_more_often(model: catalog.Model, gib: float, a: int, b: int, block: int) -> None:
    shorter, longer = (sizing.capacity(_budget(gib), model, context, Cache(block=block)) for context in sorted((a, b)))
    assert shorter.concurrency_worst >= longer.concurrency_worst
    assert shorter.longest == longer.longest


@given(models, gibs, contexts, blocks)
def test_the_worst_case_really_fits(model: catalog.Model, gib: float, context: int, block: int) -> None:
    capacity = sizing.capacity(_budget(gib), model, context, Cache(block=block))
    assert int(capacity.concurrency_worst) * context <= capacity.kv_tokens
    assert capacity.concurrency_worst <= capacity.concurrency_typical


@given(decoders, st.integers(1, 200))
def test_a_deeper_model_costs_more(model: catalog.Model, layers: int) -> None:
    more = dataclasses.replace(model.keeps[0], layers=model.keeps[0].layers + layers)
    deeper = dataclasses.replace(model, layers=model.layers + layers, keeps=(more, *model.keeps[1:]))
    assert kvcache.bytes_per_token(deeper, Cache()) > kvcache.bytes_per_token(model, Cache())


@given(models, st.sampled_from(sorted(catalog.gpus())), st.integers(1, 8))
def test_a_budget_adds_up(model: catalog.Model, card: str, count: int) -> None:
    budget = _on(CARDS[card], count, model)
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
    text = (REPOSITORY / Path("tests/fullbatch/lifecycle/test_engine_log.py")).read_text(encoding="utf-8")
    found = re.search(r"CPU KV cache size: ([\d,]+) tokens", text)
    assert found is not None
    assert int(found.group(1).replace(",", "")) == 524_288


@given(models, cards, st.sampled_from([1, 2, 4, 8, 16]), cache_dtypes, contexts)
def test_no_card_is_promised_more_than_it_has(
    model: catalog.Model, card: catalog.Gpu, count: int, dtype: str, context: int
) -> None:
    budget = _on(card, count, model)
    capacity = sizing.capacity(budget, model, context, Cache(dtype, count))
    spent = budget.weights_gib + budget.overhead_gib + int(capacity.concurrency_worst) * capacity.request_bytes / GIB
    assert capacity.concurrency_worst < 1 or spent <= card.memory_gib * count * 0.92 + 1e-6


@given(models, cards, st.integers(0, 100_000), st.integers(0, 100_000), st.integers(0, 2000), st.integers(0, 2000))
def test_a_larger_batch_never_leaves_more_for_the_cache(
    model: catalog.Model, card: catalog.Gpu, a: int, b: int, c: int, d: int
) -> None:
    (t0, t1), (s0, s1) = sorted((a, b)), sorted((c, d))
    small = _on(card, 1, model, sizing.Knobs(batched_tokens=t0, sequences=s0))
    large = _on(card, 1, model, sizing.Knobs(batched_tokens=t1, sequences=s1))
    assert large.kv_gib <= small.kv_gib


def test_the_notes_batch_of_16384_takes_cache_away() -> None:
    """Qwen2.5 7B: 14,336 tokens more x (2 x 18,944 + 6 x 3,584) numbers x 2 bytes."""
    model = MODELS["Qwen/Qwen2.5-7B-Instruct"]
    default, seed = (_on(CARDS["rtx4090"], 1, model, sizing.Knobs(batched_tokens=tokens)) for tokens in (2048, 16384))
    assert default.kv_gib - seed.kv_gib == pytest.approx(14_336 * 59_392 * 2 / GIB)


@pytest.mark.parametrize(
    ("name", "works"),
    [
        ("Qwen/Qwen2.5-7B-Instruct", {1, 2, 4}),
        ("Qwen/Qwen2.5-0.5B-Instruct", {1, 2, 14}),
        ("meta-llama/Llama-3.1-70B-Instruct", {1, 2, 4, 8, 16}),
        ("microsoft/Phi-3-medium-4k-instruct", {1, 2, 5, 10}),
    ],
)
def test_heads_must_divide(name: str, works: set[int]) -> None:
    assert {cards for cards in range(1, 17) if sizing.splits(MODELS[name], cards)} == works


def test_a_step_reads_every_weight_once() -> None:
    """15 GiB at 1,008 GB/s."""
    assert sizing.step_ms(CARDS["rtx4090"], 1, 15.0) == pytest.approx(15.98, abs=0.01)
    assert sizing.step_ms(CARDS["rtx4090"], 2, 15.0) == pytest.approx(7.99, abs=0.01)


@given(models, cards, st.sampled_from([2, 4, 8]))
def test_each_card_has_an_overhead_of_its_own(model: catalog.Model, card: catalog.Gpu, count: int) -> None:
    one, many = (_on(card, number, model) for number in (1, count))
    assert many.overhead_gib == pytest.approx(one.overhead_gib * count)
    # From 4,096 of width on; of narrower models the part that is in proportion to the width.
    assert one.overhead_gib == pytest.approx(0.9 + 0.9 * min(1.0, model.hidden / 4096))


def test_copies_add_whole_requests_only() -> None:
    one = Capacity(1, kv_tokens=100, concurrency_worst=2.7, concurrency_typical=5.4, request_bytes=37, longest=99)
    assert sizing.capacity_times(one, 3) == Capacity(1, 300, 6.0, 15.0, 37, 99)
    assert sizing.capacity_times(one, 1) == one
