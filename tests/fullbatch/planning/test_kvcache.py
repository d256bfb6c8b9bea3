"""What the engine itself reported for tiny models of each family, and what must hold for any."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullbatch import catalog
from fullbatch.catalog import Kept, config_json
from fullbatch.planning import kvcache, sizing
from fullbatch.planning.kvcache import Cache
from tests.fullbatch.checkout import REPOSITORY

MODELS = catalog.models()
FAMILIES: dict[str, Any] = json.loads((REPOSITORY / "tests/fixtures/kv-families.json").read_text(encoding="utf-8"))
models = st.sampled_from(sorted(MODELS.values(), key=lambda model: model.name))
# Kinds of layers with the same bytes a token, and as many of one as fit the other.
even_models = st.sampled_from([MODELS[name] for name in catalog.read("models.yaml")])
caches = st.builds(
    Cache,
    dtype=st.sampled_from(["auto", "fp8", "fp8_e5m2", "int8_per_token_head", "int4_per_token_head", "nvfp4", "odd"]),
    tensor=st.sampled_from([1, 2, 4, 8, 16]),
    stages=st.integers(1, 4),
    block=st.sampled_from([16, 64, 128]),
    in_flight=st.sampled_from([2048, 4096, 16384]),
)
contexts = st.integers(1, 131_072)


def _family(name: str) -> catalog.Model:
    return config_json.parse(FAMILIES["models"][name]["config"], Path(name) / "config.json")


@pytest.mark.parametrize("name", FAMILIES["models"])
def test_as_many_tokens_as_the_engine_reported(name: str) -> None:
    """Recorded from vLLM 0.32.0 on the processor, see the fixture; tests/e2e/test_kv_families.py asks it again."""
    model, asked = _family(name), FAMILIES["asked"]
    cache = Cache(block=16 if model.kv_latent else 128, in_flight=asked["max_num_batched_tokens"])
    budget = sizing.Budget(0, 0, 0, 0, asked["kv_cache_memory_bytes"] / sizing.GIB)
    capacity = sizing.capacity(budget, model, asked["max_model_len"], cache)
    assert capacity.kv_tokens == FAMILIES["models"][name]["kv_cache_size_tokens"]
    assert model.notes == ()


def test_each_kind_of_layer_was_recorded() -> None:
    found = [_family(name) for name in FAMILIES["models"]]
    assert any(model.kv_latent for model in found)
    assert any(model.experts for model in found)
    assert {3, 2} <= {one.blocks for model in found for one in model.keeps if one.state}
    assert any(0 < model.sliding_layers < model.attention_layers for model in found)
    assert any(model.sliding_layers == model.attention_layers for model in found)


@given(models, caches, contexts, contexts)
def test_a_longer_request_never_takes_less(model: catalog.Model, cache: Cache, a: int, b: int) -> None:
    layout = kvcache.layout(model, cache)
    assert layout.blocks(min(a, b)) <= layout.blocks(max(a, b))


@given(even_models, caches, contexts)
def test_windows_never_take_more_than_a_block_a_group_above_full_attention(
    model: catalog.Model, cache: Cache, context: int
) -> None:
    cache = dataclasses.replace(cache, stages=1)  # stages round each kind of layer up by itself
    plain = dataclasses.replace(model, keeps=tuple(dataclasses.replace(one, window=0) for one in model.keeps))
    windows, whole = kvcache.layout(model, cache), kvcache.layout(plain, cache)
    groups = sum(group.number for group in windows.groups)
    assert groups >= 1
    extra = groups * windows.block_bytes
    # Uneven kinds waste up to a group of padding; the models of the catalog are even.
    assert windows.blocks(context) * windows.block_bytes <= whole.blocks(context) * whole.block_bytes + extra


@given(models, caches)
def test_cards_that_share_a_model_never_save_bytes(model: catalog.Model, cache: Cache) -> None:
    alone = dataclasses.replace(cache, tensor=1, stages=1)
    assert kvcache.bytes_per_token(model, cache) >= kvcache.bytes_per_token(model, alone)
    even = all(one.heads % cache.tensor == 0 and one.heads for one in model.keeps if not one.state)
    if even and cache.stages == 1:
        assert kvcache.bytes_per_token(model, cache) == kvcache.bytes_per_token(model, alone)
    assert kvcache.bytes_per_token(model, alone) <= kvcache.bytes_per_token(model, Cache())


@given(models, caches)
def test_what_the_stages_of_a_pipeline_hold_is_rounded_up(model: catalog.Model, cache: Cache) -> None:
    one = kvcache.layout(model, dataclasses.replace(cache, stages=1)).block_bytes
    many = kvcache.layout(model, cache).block_bytes
    assert one <= many < one + cache.stages * one


def test_fp8_halves_a_token_exactly() -> None:
    model = MODELS["meta-llama/Llama-3.1-8B-Instruct"]
    assert kvcache.bytes_per_token(model, Cache("fp8")) * 2 == kvcache.bytes_per_token(model, Cache()) == 131_072


def test_more_cards_than_kv_heads_hold_copies() -> None:
    model = MODELS["Qwen/Qwen2.5-7B-Instruct"]
    assert kvcache.bytes_per_token(model, Cache(tensor=4)) == 57_344
    assert kvcache.bytes_per_token(model, Cache(tensor=8)) == 2 * 57_344


def test_a_latent_is_held_by_each_card() -> None:
    """DeepSeek V3: 61 layers of 512 + 64 numbers."""
    model = dataclasses.replace(MODELS["tiny"], keeps=(Kept(61, 0, 576),))
    assert kvcache.bytes_per_token(model, Cache()) == 61 * 576 * 2
    assert kvcache.bytes_per_token(model, Cache(tensor=8)) == 8 * 61 * 576 * 2


def test_a_large_state_makes_the_blocks_of_attention_longer() -> None:
    """2 MiB of state and 512 bytes a token: 4,096 tokens a block."""
    model = dataclasses.replace(MODELS["tiny"], keeps=(Kept(1, 2, 128), Kept(3, state=2**21, blocks=2)))
    assert kvcache.layout(model, Cache(block=16)).block_tokens == 4096
    latent = dataclasses.replace(model, keeps=(Kept(1, 0, 576), Kept(3, state=1, blocks=2)))
    assert kvcache.layout(latent, Cache(block=16)).block_tokens == 128


def test_without_attention_a_request_takes_one_state_of_each_layer_however_long() -> None:
    model = dataclasses.replace(MODELS["tiny"], keeps=(Kept(4, state=1000, blocks=2),))
    layout = kvcache.layout(model, Cache())
    assert layout.blocks(1) == layout.blocks(100_000) == 1
    assert layout.block_bytes == 4000


def _published(name: str) -> catalog.Model:
    counted = json.loads((REPOSITORY / "tests/fixtures/parameters.json").read_text(encoding="utf-8"))
    return config_json.parse(counted["published"][name]["config"], Path(name) / "config.json")


QWEN35_27B = _published("qwen35-27b-awq")


def test_the_pages_that_published_logs_name() -> None:
    """Qwen3.5 of 32 value heads and 4 x 256 keys: 528 tokens (vLLM PR 37467); the 27B at FP8 on two cards: 1,568."""
    nine_b = dataclasses.replace(MODELS["tiny"], keeps=(Kept(8, 4, 512), Kept(24, state=2_146_304, blocks=2)))
    assert kvcache.layout(nine_b, Cache(block=16)).block_tokens == 528
    assert kvcache.layout(QWEN35_27B, Cache("fp8", tensor=2, block=16)).block_tokens == 1568


@pytest.mark.parametrize(("dtype", "gib", "blocks"), [("fp8", 4.99, 208), ("auto", 3.86, 161)])
def test_the_blocks_that_published_logs_name(dtype: str, gib: float, blocks: int) -> None:
    """Qwen3.8-27B over two cards, a card's cache: 208 blocks, 90 of them for 131,072 tokens; 161 (vLLM issue 49064)."""
    layout = kvcache.layout(QWEN35_27B, Cache(dtype, tensor=2, block=16))
    assert int(2 * gib * sizing.GIB) // layout.block_bytes == pytest.approx(blocks, abs=1)
    if dtype == "fp8":
        assert layout.blocks(131_072) == 90


def test_each_drafted_token_takes_a_state_more() -> None:
    plain, drafted = (kvcache.layout(QWEN35_27B, Cache(drafted=number)) for number in (0, 3))
    groups = 3
    assert (plain.blocks(1), drafted.blocks(1)) == (1 + groups * 2, 1 + groups * 5)


def test_without_prefixes_a_request_keeps_one_state() -> None:
    assert kvcache.layout(QWEN35_27B, Cache(prefixes=False)).blocks(1) == 1 + 3


def test_a_block_of_fewer_bytes_holds_more_tokens() -> None:
    """Gemma 4 12B: 8 layers of one head of 512 beside 40 windows of 8 heads of 256: 64 tokens against 16."""
    model = dataclasses.replace(MODELS["tiny"], keeps=(Kept(8, 1, 1024), Kept(40, 8, 512, 1024)))
    layout = kvcache.layout(model, Cache(block=16, in_flight=4096))
    assert [(group.number, group.tokens) for group in layout.groups] == [(1, 64), (5, 16)]
    assert layout.block_bytes == 8 * 16 * 8 * 512 * 2


def test_layers_of_unlike_heads_that_all_keep_everything_share_a_block() -> None:
    model = dataclasses.replace(MODELS["tiny"], keeps=(Kept(2, 2, 128), Kept(2, 4, 128)))
    layout = kvcache.layout(model, Cache(block=16))
    assert (layout.blocks(32), layout.block_bytes) == (2, 16 * 2 * 6 * 128 * 2)


def test_a_model_that_keeps_nothing_takes_nothing() -> None:
    layout = kvcache.layout(dataclasses.replace(MODELS["tiny"], keeps=()), Cache())
    assert layout.blocks(512) == 0
