"""The number formats of GGUF files that are read here, made bfloat16 (layout of a block: ggml/src/ggml-common.h)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fullbatch.packaged.facts import NotHad


@dataclass(frozen=True)
class Kind:
    """A format: how many numbers a block of how many bytes holds."""

    name: str
    numbers: int
    bytes: int


KINDS = {0: Kind("F32", 1, 4), 3: Kind("Q4_1", 32, 20), 8: Kind("Q8_0", 32, 34)}


def kind_of(number: int, tensor: str) -> Kind:
    """The format by ggml's number; NotHad when it is none that is read here."""
    if number not in KINDS:
        known = ", ".join(kind.name for kind in KINDS.values())
        raise NotHad(f"tensor {tensor} is in ggml's format {number}, which is not read here; these are: {known}")
    return KINDS[number]


def bfloat16(kind: Kind, data: bytes) -> bytes:
    """The numbers of `data` as bfloat16, the nearest one, little-endian."""
    import numpy

    wide = _float32(kind, data)
    bits = numpy.ascontiguousarray(wide, dtype="<f4").reshape(-1).view("<u4")
    # Half a unit of the last place that stays, less one for an even number: halves go to the even neighbour.
    nearest: Any = (bits + numpy.uint32(0x7FFF) + ((bits >> numpy.uint32(16)) & numpy.uint32(1))) >> numpy.uint32(16)
    return bytes(nearest.astype("<u2").tobytes())


def _float32(kind: Kind, data: bytes) -> Any:
    import numpy

    if kind.name == "F32":
        return numpy.frombuffer(data, dtype="<f4")
    rows = numpy.frombuffer(data, dtype=numpy.uint8).reshape(-1, kind.bytes)
    scale = numpy.ascontiguousarray(rows[:, :2]).view("<f2").astype("<f4")
    if kind.name == "Q8_0":
        return scale * numpy.ascontiguousarray(rows[:, 2:]).view(numpy.int8).astype("<f4")
    least = numpy.ascontiguousarray(rows[:, 2:4]).view("<f2").astype("<f4")
    packed = rows[:, 4:]
    # The first half of a block lies in the lower four bits of its bytes, the second one in the upper.
    return scale * numpy.concatenate([packed & 0x0F, packed >> 4], axis=1).astype("<f4") + least
