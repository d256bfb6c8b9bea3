"""What the layers of a model keep of a request, kind by kind: from its list of layers, or from a row of models.yaml."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from fullbatch.catalog.layers import Layer


@dataclass(frozen=True)
class Kept:
    """`layers` that keep the same.

    Of attention: `numbers` of a token for each of `heads` heads of keys and values, which cards deal out among them; of
    a compressed latent (MLA) `heads` is 0 and each card holds it whole, with `beside` bytes for a sparse indexer.
    `window`: the last tokens that are kept, 0 for all; `chunked`: those since the last multiple of it. Else a `state`
    of so many bytes whatever the length, in `blocks`
    of it, and `draft` bytes more of it for each token that is drafted ahead.
    """

    layers: int
    heads: int = 0
    numbers: int = 0
    window: int = 0
    chunked: bool = False
    beside: int = 0
    state: int = 0
    draft: int = 0
    blocks: int = 0

    @property
    def latent(self) -> int:
        """Numbers of a token where attention is compressed, else 0."""
        return self.numbers if not self.heads else 0


def read(layers: tuple[Layer, ...]) -> tuple[Kept, ...]:
    """What `layers` keep: those that keep all first, then windows, then states."""
    found: Counter[Kept] = Counter()
    for layer in layers:
        one = layer.attention
        if one and one.stores and one.latent:
            found[Kept(1, 0, one.latent, beside=one.index_bytes)] += 1
        elif one and one.stores:
            found[Kept(1, one.kv_heads, one.dim + one.value_dim, one.window, one.chunked)] += 1
        if layer.state:
            state = layer.state
            found[Kept(1, state=state.bytes, draft=state.draft_bytes, blocks=state.blocks)] += 1
    grouped = [_times(one, count) for one, count in found.items()]
    return tuple(sorted(grouped, key=lambda one: (one.state, one.window)))


def plain(shape: Mapping[str, Any], window: int = 0, windowed: int = 0) -> tuple[Kept, ...]:
    """Of a decoder whose layers have the same heads; `windowed` of them keep `window` tokens only."""
    heads, numbers = shape["kv_heads"], 2 * shape["head_dim"]
    found = [Kept(shape["layers"] - windowed, heads, numbers), Kept(windowed, heads, numbers, window)]
    return tuple(one for one in found if one.layers)


def _times(one: Kept, count: int) -> Kept:
    return replace(one, layers=count)
