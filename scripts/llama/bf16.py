"""``python -m scripts.llama.bf16 SOURCE OUT``: a GGUF with its quantised tensors as bfloat16, and nothing else changed.

The very numbers that `fullbatch.packaged` gives vLLM, so that both sides of a comparison compute with the same weights
at the same precision. Run by the engine's own Python, which has numpy.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import BinaryIO

from fullbatch.packaged import blocks, gguf
from fullbatch.packaged.gguf import Gguf, Tensor

# ggml's number of the format, and llama.cpp's of a file that is mostly in it (ggml.h, llama.h).
_BF16, _MOSTLY_BF16 = 30, 32
_F32 = 0
_ALIGNMENT = 32


def write(source: Path, out: Path) -> None:
    """`source` as `out`, whole or not at all."""
    found = gguf.read(source)
    partial = out.with_name(out.name + ".partial")
    with source.open("rb") as file, partial.open("wb") as target:
        target.write(_relabelled(file.read(found.table)))
        _write_table(found, target)
        for tensor in found.tensors:
            data = _content(tensor, file)
            target.write(data + bytes(-len(data) % _ALIGNMENT))
    partial.replace(out)


def _relabelled(head: bytes) -> bytes:
    """What the file says of itself: no longer that it is quantised."""
    key = b"general.file_type" + struct.pack("<I", 4)
    at = head.find(key)
    return head if at < 0 else head[: at + len(key)] + struct.pack("<I", _MOSTLY_BF16) + head[at + len(key) + 4 :]


def _write_table(found: Gguf, target: BinaryIO) -> None:
    offset = 0
    for tensor in found.tensors:
        name = tensor.name.encode()
        shape = struct.pack(f"<I{len(tensor.dimensions)}Q", len(tensor.dimensions), *tensor.dimensions)
        kind, size = (_F32, 4) if tensor.kind == _F32 else (_BF16, 2)
        target.write(struct.pack("<Q", len(name)) + name + shape + struct.pack("<IQ", kind, offset))
        offset += -(-tensor.count * size // _ALIGNMENT) * _ALIGNMENT
    target.write(bytes(-target.tell() % _ALIGNMENT))


def _content(tensor: Tensor, file: BinaryIO) -> bytes:
    kind = blocks.kind_of(tensor.kind, tensor.name)
    file.seek(tensor.offset)
    data = file.read(tensor.count // kind.numbers * kind.bytes)
    return data if tensor.kind == _F32 else blocks.bfloat16(kind, data)


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]))
