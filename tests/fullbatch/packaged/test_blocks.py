"""Number formats against arithmetic written down once more, in plain Python; numpy is in the engine's environment."""

from __future__ import annotations

import json
import random
import struct
import subprocess

import pytest

from fullbatch.packaged import blocks
from fullbatch.packaged.facts import NotHad
from tests.fullbatch.checkout import REPOSITORY
from tests.fullbatch.packaged import small

_CONVERT = """
import sys
from fullbatch.packaged import blocks
sys.stdout.buffer.write(blocks.bfloat16(blocks.KINDS[int(sys.argv[1])], sys.stdin.buffer.read()))
"""


def converted(kind: int, data: bytes) -> bytes:
    words = [str(small.ENGINE), "-P", "-c", _CONVERT, str(kind)]
    environment = {"PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(words, input=data, env=environment, capture_output=True, check=True).stdout


def single(number: float) -> float:
    found: float = struct.unpack("<f", struct.pack("<f", number))[0]
    return found


def nearest(number: float) -> int:
    """bfloat16's 16 bits for a number of single precision, by comparing with both neighbours."""
    bits = struct.unpack("<I", struct.pack("<f", number))[0]
    below, rest = bits >> 16, bits & 0xFFFF
    if rest == 0x8000:
        return int(below + (below & 1))
    return int(below + (rest > 0x8000))


def plain(kind: int, data: bytes) -> list[float]:
    """The numbers of blocks, one by one."""
    found: list[float] = []
    if kind == 0:
        return list(struct.unpack(f"<{len(data) // 4}f", data))
    size = blocks.KINDS[kind].bytes
    for at in range(0, len(data), size):
        block = data[at : at + size]
        scale = struct.unpack("<e", block[:2])[0]
        if kind == 8:
            found += [single(scale * number) for number in struct.unpack("<32b", block[2:])]
            continue
        least = struct.unpack("<e", block[2:4])[0]
        parts = [byte & 15 for byte in block[4:]] + [byte >> 4 for byte in block[4:]]
        found += [single(single(scale * part) + least) for part in parts]
    return found


@pytest.mark.engine
@pytest.mark.parametrize("kind", blocks.KINDS)
def test_every_format_becomes_the_nearest_bfloat16(kind: int) -> None:
    data = small.numbers(kind, (32 * 40,), random.Random(kind))
    assert converted(kind, data) == b"".join(struct.pack("<H", nearest(one)) for one in plain(kind, data))


@pytest.mark.engine
def test_halves_go_to_the_even_neighbour() -> None:
    halves = struct.pack("<4I", 0x3F808000, 0x3F818000, 0x3F808001, 0xBF807FFF)
    assert struct.unpack("<4H", converted(0, halves)) == (0x3F80, 0x3F82, 0x3F81, 0xBF80)


def test_another_format_is_named() -> None:
    with pytest.raises(NotHad, match=r"tensor a is in ggml's format 12, which is not read here; these are: F32, Q4_1"):
        blocks.kind_of(12, "a")
    assert json.dumps([kind.name for kind in blocks.KINDS.values()]) == '["F32", "Q4_1", "Q8_0"]'
