"""The layout of the engine's KV cache: blocks, groups of layers, and what one request takes. Pure.

As vLLM 0.32 does it (v1/core/kv_cache_utils.py, v1/kv_cache_interface.py, platforms/interface.py):
- Layers of a kind (full attention, sliding window, state space) are cut into groups of about as many layers as the
  rarest kind has; where the kinds are nearly as many (below 1.5 : 1) the most frequent gives the size.
- A block of the pool holds one block of the largest group. Every group takes blocks of its own for a request.
- Full attention takes a block for each `block` tokens; a sliding window takes the window and what is in flight, and one
  block more; a state space takes two blocks where prefixes are cached (Mamba 2: three), however long the request is.
- A block of attention is made long enough to hold one layer's state.
A compressed latent (MLA) is held whole by every card; key and value heads are dealt out, at least one to a card.
"""

from __future__ import annotations

from dataclasses import dataclass

from fullbatch.catalog import Model

BF16_BYTES = 2
# Bytes of a cached number; `per_token_head` kinds add an fp32 scale to each head. What is not here counts as 16 bit.
_KV_BYTES = {
    "fp8": 1.0, "fp8_e4m3": 1.0, "fp8_e5m2": 1.0, "fp8_inc": 1.0, "nvfp4": 0.5625, "nvfp4_4over6": 0.5625,
    "auto": BF16_BYTES, "bfloat16": BF16_BYTES, "float16": BF16_BYTES, "float32": 4.0,
}  # fmt: skip
_KV_SCALED = {"fp8_per_token_head": 1.0, "int8_per_token_head": 1.0, "int4_per_token_head": 0.5}
# Below this ratio the most frequent kind of layer gives the size of a group (kv_cache_utils.py:1460).
_NEARLY_AS_MANY = 1.5
# Blocks of latents next to a state space hold at least this many tokens (platforms/interface.py:1083).
_LATENT_BLOCK_BESIDE_STATE = 128


@dataclass(frozen=True)
class Cache:
    """How the engine is told to keep its cache. `tensor` cards share each layer, `stages` of such share the layers.

    `block`: tokens of a block. `in_flight`: tokens scheduled and not settled yet, batches at once x tokens of a step.
    """

    dtype: str = "auto"
    tensor: int = 1
    stages: int = 1
    block: int = 16
    in_flight: int = 4096

    @property
    def cards(self) -> int:
        """Cards that hold one copy of the model."""
        return self.tensor * self.stages


@dataclass(frozen=True)
class Layout:
    """The pool's blocks. `block_tokens`: tokens of attention in one; `block_bytes`: its bytes on all cards together.

    `full`, `sliding`, `state`: groups of each kind, of which a request takes blocks. `reach`: tokens that a sliding
    layer keeps at most, those in flight included. `state_blocks`: blocks of a state group for a request.
    """

    block_tokens: int
    block_bytes: int
    full: int
    sliding: int
    state: int
    reach: int
    state_blocks: int

    def blocks(self, context: int) -> int:
        """Blocks that a request of `context` tokens takes at most."""
        full = self.full * -(-context // self.block_tokens)
        sliding = self.sliding * (-(-min(self.reach, context) // self.block_tokens) + 1)
        return full + sliding + self.state * self.state_blocks


def layout(model: Model, cache: Cache) -> Layout:
    """The blocks of `model` kept as `cache` says."""
    token = _token_bytes(model, cache)
    state = -(-model.state_bytes // cache.tensor)
    block = _block_tokens(model, cache, token, state)
    page = block * token if model.attention_layers else state
    layers = (model.attention_layers - model.sliding_layers, model.sliding_layers, model.state_layers)
    # Each stage holds its part of every kind; the largest part decides.
    held = [-(-number // cache.stages) for number in layers]
    some = [number for number in held if number]
    size = max(some) if max(some) < min(some) * _NEARLY_AS_MANY else min(some)
    full, sliding, states = (-(-number // size) for number in held)
    widest = max(-(-number // -(-number // size)) for number in some)
    reach = model.sliding_window - 1 + cache.in_flight
    # Without attention nothing is cached by its prefix, and no state but the last is kept.
    kept = model.state_blocks if model.attention_layers else 1
    return Layout(block, widest * page * cache.cards, full, sliding, states, reach, kept)


def known(dtype: str) -> bool:
    """Whether a cached number of `dtype` is counted as what it is."""
    return dtype in _KV_SCALED or dtype in _KV_BYTES


def bytes_per_token(model: Model, cache: Cache) -> int:
    """Bytes that one token costs on all layers with attention and all cards together, while every layer keeps it."""
    return -(-model.attention_layers // cache.stages) * cache.stages * cache.tensor * _token_bytes(model, cache)


def _token_bytes(model: Model, cache: Cache) -> int:
    """Bytes of a token in one layer on one card."""
    numbers = model.kv_latent or 2 * model.head_dim * max(1, -(-model.kv_heads // cache.tensor))
    return int(numbers * _number_bytes(cache.dtype, model.head_dim))


def _number_bytes(dtype: str, head_dim: int) -> float:
    if dtype in _KV_SCALED:
        return _KV_SCALED[dtype] + 4 / head_dim
    return _KV_BYTES.get(dtype, BF16_BYTES)


def _block_tokens(model: Model, cache: Cache, token: int, state: int) -> int:
    if not (model.state_layers and model.attention_layers):
        return cache.block
    step = max(cache.block, _LATENT_BLOCK_BESIDE_STATE) if model.kv_latent else cache.block
    return max(cache.block, step * -(-state // (step * token)))
