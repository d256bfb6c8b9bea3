"""Random weights in the number formats of GGUF files: single precision, half precision, and the blocks of Q4_K_M.

Layout of a block: ggml/src/ggml-common.h; which tensor gets which in Q4_K_M: llama.cpp, src/llama-quant.cpp.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass

_DEVIATION = 0.02
_POOL_WEIGHTS = 1 << 16
_ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class WeightFormat:
    """A format: its number in the file, and how many weights a block of how many bytes holds."""

    number: int
    weights: int
    bytes: int

    def row_bytes(self, width: int) -> int:
        """Bytes of a row of `width` weights; ValueError where it is no whole number of blocks."""
        if width % self.weights:
            raise ValueError(f"a row of {width} weights is no whole number of blocks of {self.weights}")
        return width // self.weights * self.bytes


F32, F16, Q4_K, Q6_K = (
    WeightFormat(0, 1, 4),
    WeightFormat(1, 1, 2),
    WeightFormat(12, 256, 144),
    WeightFormat(14, 256, 210),
)


def q4_k_m(name: str, layer: int, layers: int) -> WeightFormat:
    """The format of a matrix of this name in layer `layer` of `layers`."""
    if name == "output":
        return Q6_K
    more = layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2
    return Q6_K if more and name in ("attn_v", "ffn_down") else Q4_K


def pool(kind: WeightFormat, source: random.Random) -> bytes:
    """Random weights of about the deviation that models are initialised with; rows are cut from it."""
    if kind is F16:
        return struct.pack(f"<{_POOL_WEIGHTS}e", *(source.gauss(0, _DEVIATION) for _ in range(_POOL_WEIGHTS)))
    one = {Q4_K: _q4_k, Q6_K: _q6_k}[kind]
    # Twice the longest row of the models of the catalog, so that rows differ.
    return b"".join(one(source) for _ in range(_POOL_WEIGHTS // kind.weights))


def _q4_k(source: random.Random) -> bytes:
    # value = d x scale x q - dmin x min; scale and min up to 63, q up to 15: dmin = 7.5 d centres it on 0.
    scale = _DEVIATION / (32 * 4.6)
    return struct.pack("<ee", scale, 7.5 * scale) + source.randbytes(12 + 128)


def _q6_k(source: random.Random) -> bytes:
    # value = d x scale x (q - 32); q up to 63, scales here -16 to 15.
    scales = bytes(source.randrange(-16, 16) & 0xFF for _ in range(16))
    return source.randbytes(128 + 64) + scales + struct.pack("<e", _DEVIATION / (9 * 18.5))


def rows(kind: WeightFormat, dimensions: tuple[int, ...], pool_bytes: bytes, source: random.Random) -> Iterator[bytes]:
    """The matrix, some rows at a time. Rows begin at random blocks of the pool: rank enough, with few draws."""
    width = kind.row_bytes(dimensions[0])
    last = (len(pool_bytes) - width) // kind.bytes
    for begin in range(0, dimensions[1], _ROWS_AT_ONCE):
        count = min(_ROWS_AT_ONCE, dimensions[1] - begin)
        starts = [kind.bytes * int(last * source.random()) for _ in range(count)]
        yield b"".join([pool_bytes[start : start + width] for start in starts])
