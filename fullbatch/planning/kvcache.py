"""The layout of the engine's KV cache: blocks, groups of layers, and what one request takes. Pure.

As vLLM 0.32 does it (v1/core/kv_cache_utils.py, v1/kv_cache_interface.py, platforms/interface.py):
- Layers of a kind (full attention, sliding window, state space) are cut into groups of about as many layers as the
  rarest kind has; where the kinds are nearly as many (below 1.5 : 1) the most frequent gives the size.
- A block of the pool holds one block of the largest group. Every group takes blocks of its own for a request.
- Full attention takes a block for each `block` tokens; a sliding window takes the window and what is in flight, and one
  block more; a state space takes two blocks where prefixes are cached (Mamba 2: three), however long the request is,
  and one for each token that is drafted ahead.
- A block of attention is made long enough to hold one layer's state. Where kinds differ in bytes, a block of the
  smaller holds more tokens.
A compressed latent (MLA) is held whole by every card; key and value heads are dealt out, at least one to a card.
"""

from __future__ import annotations

from dataclasses import dataclass

from fullbatch.catalog import Kept, Model

BF16_BYTES = 2
# Bytes of a cached number; `per_token_head` kinds add an fp32 scale to each head. What is not here counts as 16 bit.
_KV_BYTES = {
    "fp8": 1.0, "fp8_e4m3": 1.0, "fp8_e5m2": 1.0, "fp8_inc": 1.0, "nvfp4": 0.5625, "nvfp4_4over6": 0.5625,
    "auto": BF16_BYTES, "bfloat16": BF16_BYTES, "float16": BF16_BYTES, "float32": 4.0,
}  # fmt: skip
_KV_SCALED = {"fp8_per_token_head": 1.0, "int8_per_token_head": 1.0, "int4_per_token_head": 0.5}
# Below this ratio the most frequent kind of layer gives the size of a group (kv_cache_utils.py:1460).
_NEARLY_AS_MANY = 1.5
# Of a model that keeps nothing: a block that a request is counted as, so that figures stay figures.
_UNUSED = 2**26
# Blocks of latents next to a state space hold at least this many tokens (platforms/interface.py:1083).
_LATENT_BLOCK_BESIDE_STATE = 128


@dataclass(frozen=True)
class Cache:
    """How the engine is told to keep its cache. `tensor` cards share each layer, `stages` of such share the layers.

    `block`: tokens of a block. `in_flight`: tokens scheduled and not settled yet, batches at once x tokens of a step.
    `drafted`: tokens that are drafted ahead of each request. `prefixes`: beginnings of prompts are kept for others.
    """

    dtype: str = "auto"
    tensor: int = 1
    stages: int = 1
    block: int = 16
    in_flight: int = 4096
    drafted: int = 0
    prefixes: bool = True

    @property
    def cards(self) -> int:
        """Cards that hold one copy of the model."""
        return self.tensor * self.stages


@dataclass(frozen=True)
class Group:
    """`number` groups of one kind of layer, of which each takes blocks of `tokens` for a request: of the last `reach`
    where that is not 0, and `spare` blocks more, or `blocks` however long it is where `tokens` is 0."""

    number: int
    tokens: int
    reach: int = 0
    blocks: int = 0
    spare: int = 1

    def taken(self, context: int) -> int:
        """Blocks that a request of `context` tokens takes at most."""
        if not self.tokens:
            return self.number * self.blocks
        if self.reach:
            return self.number * (-(-min(self.reach, context) // self.tokens) + self.spare)
        return self.number * -(-context // self.tokens)


@dataclass(frozen=True)
class Layout:
    """The pool's blocks. `block_tokens`: tokens of attention in one; `block_bytes`: its bytes on all cards together.

    `keeps_states`: each request takes a block that is not shared, so no more requests can run than there are blocks.
    """

    block_tokens: int
    block_bytes: int
    groups: tuple[Group, ...]
    keeps_states: bool = False

    def blocks(self, context: int) -> int:
        """Blocks that a request of `context` tokens takes at most."""
        return sum(group.taken(context) for group in self.groups)


def layout(model: Model, cache: Cache) -> Layout:
    """The blocks of `model` kept as `cache` says."""
    block = _block_tokens(model, cache)
    pages = [_page(one, cache, block) for one in model.keeps]
    attending = [page for one, page in zip(model.keeps, pages, strict=True) if not one.state]
    if len(attending) == len(pages) and len({one.window for one in model.keeps}) <= 1:
        return _one_group(model, cache, block, pages)
    largest = max(pages, default=0)
    # Each stage holds its part of every kind; the largest part decides.
    held = [-(-one.layers // cache.stages) for one in model.keeps]
    size = max(held) if max(held) < min(held) * _NEARLY_AS_MANY else min(held)
    numbers = [-(-number // size) for number in held]
    widest = max(-(-number // count) for number, count in zip(held, numbers, strict=True))
    groups = [
        _group(one, cache, number, block * (largest // page) if attending else 0, bool(attending))
        for one, number, page in zip(model.keeps, numbers, pages, strict=True)
    ]
    return Layout(block, widest * largest * cache.cards, tuple(groups), any(one.state for one in model.keeps))


def known(dtype: str) -> bool:
    """Whether a cached number of `dtype` is counted as what it is."""
    return dtype in _KV_SCALED or dtype in _KV_BYTES


def bytes_per_token(model: Model, cache: Cache) -> int:
    """Bytes that one token costs on all layers with attention and all cards together, while every layer keeps it."""
    kept = [-(-one.layers // cache.stages) * _token_bytes(one, cache) for one in model.keeps if not one.state]
    return sum(kept) * cache.stages * cache.tensor


def _one_group(model: Model, cache: Cache, block: int, pages: list[int]) -> Layout:
    """All layers keep the same tokens: they share each block, whatever their bytes."""
    layers = [-(-one.layers // cache.stages) for one in model.keeps]
    size = sum(number * page for number, page in zip(layers, pages, strict=True))
    window = model.keeps[0].window if model.keeps else 0
    reach = window - 1 + cache.in_flight if window else 0
    # A model that keeps nothing (an encoder) has a pool of one block.
    return Layout(
        block, (size or _UNUSED) * cache.cards, (Group(1 if model.keeps else 0, block, reach, spare=_spare(model)),)
    )


def _spare(model: Model) -> int:
    """A window may begin within a block, a chunk begins with one."""
    return 0 if any(one.chunked for one in model.keeps) else 1


def _group(one: Kept, cache: Cache, number: int, tokens: int, attends: bool) -> Group:
    if one.state:
        # Without attention nothing is cached by its prefix, and no state but the last is kept.
        blocks = one.blocks if attends and cache.prefixes else 1
        return Group(number, 0, 0, blocks + cache.drafted)
    reach = one.window - (0 if one.chunked else 1) + cache.in_flight if one.window else 0
    return Group(number, tokens, reach, spare=0 if one.chunked else 1)


def _page(one: Kept, cache: Cache, block: int) -> int:
    """Bytes of a block of one layer on one card."""
    return _state_bytes(one, cache) if one.state else block * _token_bytes(one, cache)


def _state_bytes(one: Kept, cache: Cache) -> int:
    return -(-(one.state + cache.drafted * one.draft) // cache.tensor)


def _token_bytes(one: Kept, cache: Cache) -> int:
    """Bytes of a token in one layer on one card."""
    if one.latent:
        return int(one.latent * _number_bytes(cache.dtype, one.latent)) + one.beside
    numbers = one.numbers * max(1, -(-one.heads // cache.tensor))
    return int(numbers * _number_bytes(cache.dtype, one.numbers // 2))


def _number_bytes(dtype: str, head_dim: int) -> float:
    if dtype in _KV_SCALED:
        return _KV_SCALED[dtype] + 4 / head_dim
    return _KV_BYTES.get(dtype, BF16_BYTES)


def _block_tokens(model: Model, cache: Cache) -> int:
    """Tokens of a block of attention: enough to hold the largest state beside it."""
    states = [_state_bytes(one, cache) for one in model.keeps if one.state]
    attending = [one for one in model.keeps if not one.state]
    if not (states and attending):
        return cache.block
    step = max(cache.block, _LATENT_BLOCK_BESIDE_STATE) if attending[0].latent else cache.block
    return max(cache.block, step * -(-max(states) // (step * _token_bytes(attending[0], cache))))
