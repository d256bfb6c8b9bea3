"""Random weights in the number formats of GGUF files."""

from __future__ import annotations

import random
import struct

import pytest

from scripts.llama import blocks


def test_the_mix_of_formats_is_that_of_q4_k_m() -> None:
    layers = 32
    down = [blocks.q4_k_m("ffn_down", layer, layers) for layer in range(layers)]
    assert down.count(blocks.Q6_K) == 16
    assert blocks.q4_k_m("ffn_up", 0, layers) is blocks.Q4_K
    assert blocks.q4_k_m("output", 0, layers) is blocks.Q6_K


def test_a_row_that_is_no_whole_number_of_blocks_is_refused() -> None:
    with pytest.raises(ValueError, match="no whole number of blocks"):
        blocks.Q4_K.row_bytes(704)


def test_weights_are_about_as_large_as_models_are_initialised() -> None:
    pool = blocks.pool(blocks.Q6_K, random.Random(1))
    one = pool[: blocks.Q6_K.bytes]
    (scale,) = struct.unpack("<e", one[-2:])
    scales = struct.unpack("16b", one[192:208])
    assert 0.005 < abs(scale) * max(map(abs, scales)) * 32 < 0.2
