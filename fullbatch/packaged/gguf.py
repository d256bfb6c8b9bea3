"""Reading a GGUF file: its metadata, and where its tensors lie (ggml/docs/gguf.md, version 3)."""

from __future__ import annotations

import dataclasses
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from fullbatch.packaged.facts import NotHad

_MAGIC, _VERSION = b"GGUF", 3
_STRING, _ARRAY = 8, 9
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


@dataclass(frozen=True)
class Tensor:
    """`dimensions`: the innermost first. `kind`: ggml's number of a format. `offset`: bytes from the file's start."""

    name: str
    dimensions: tuple[int, ...]
    kind: int
    offset: int

    @property
    def count(self) -> int:
        """How many numbers it holds."""
        count = 1
        for dimension in self.dimensions:
            count *= dimension
        return count


@dataclass(frozen=True)
class Gguf:
    """One file. `table`: where its list of tensors begins, in bytes from its start."""

    path: Path
    table: int
    metadata: dict[str, Any]
    tensors: tuple[Tensor, ...]


def read(path: Path) -> Gguf:
    """Everything but the numbers; NotHad when it is no GGUF of a version that is known here."""
    with path.open("rb") as file:
        try:
            return _read(file, path)
        except (struct.error, UnicodeDecodeError, KeyError, OverflowError, MemoryError) as error:
            raise NotHad(
                f"{path}: ends too early or is damaged ({error!r}); remove it, and it is fetched again"
            ) from error


def _read(file: BinaryIO, path: Path) -> Gguf:
    magic, version = file.read(4), struct.unpack("<I", file.read(4))[0]
    if magic != _MAGIC or version != _VERSION:
        raise NotHad(f"{path}: is no GGUF file of version {_VERSION}; name one that is")
    tensors, entries = struct.unpack("<QQ", file.read(16))
    metadata = {}
    for _ in range(entries):
        key = _string(file)
        metadata[key] = _value(file, _number(file, "I"))
    table = file.tell()
    found = [_tensor(file) for _ in range(tensors)]
    alignment = metadata.get("general.alignment", 32)
    begin = -(-file.tell() // alignment) * alignment
    return Gguf(path, table, metadata, tuple(dataclasses.replace(one, offset=begin + one.offset) for one in found))


def _tensor(file: BinaryIO) -> Tensor:
    """As it stands there: with an offset from where the numbers begin."""
    name, rank = _string(file), _number(file, "I")
    dimensions = struct.unpack(f"<{rank}Q", file.read(8 * rank))
    kind, offset = struct.unpack("<IQ", file.read(12))
    return Tensor(name, dimensions, kind, offset)


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _string(file)
    if kind != _ARRAY:
        return _number(file, _NUMBERS[kind])
    inner, count = struct.unpack("<IQ", file.read(12))
    if inner in _NUMBERS:
        form = f"<{count}{_NUMBERS[inner]}"
        return list(struct.unpack(form, file.read(struct.calcsize(form))))
    return [_value(file, inner) for _ in range(count)]


def _number(file: BinaryIO, form: str) -> Any:
    return struct.unpack(f"<{form}", file.read(struct.calcsize(f"<{form}")))[0]


def _string(file: BinaryIO) -> str:
    size = _number(file, "Q")
    data = file.read(size)
    if len(data) < size:
        raise struct.error("a text is cut off")
    return data.decode("utf-8")
