"""The weights that lie beside a config.json: how many bytes, and whether they are all there."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GIB = 2**30
_INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json", "consolidated.safetensors.index.json")
# GiB of weights that a checkpoint can have.
_MOST_GIB = 10**6
_SHARD = re.compile(r"-(\d+)-of-(\d+)\.(safetensors|bin)$")
# What git leaves in place of a file where git-lfs was not installed.
_POINTER = b"version https://git-lfs"
# Of what an index says; the headers are in the files and not in its sum.
_NEARLY_ALL = 0.99
# Bytes of a header that is read; those of the largest models have some ten MiB.
_MOST_HEADER = 100 * 2**20


@dataclass(frozen=True)
class Measured:
    """GiB of the weight files, 0 where there are none or not all; `doubt`: why they are not taken."""

    gib: float = 0.0
    doubt: str = ""


def read(folder: Path) -> Measured:
    """The weights in `folder`."""
    try:
        files = _weights(folder)
        doubt = _doubt(folder, files)
        return Measured(doubt=doubt) if doubt else Measured(_total(folder, files))
    except (OSError, ValueError, KeyError, TypeError, RecursionError, OverflowError, AttributeError):
        return Measured()


def _weights(folder: Path) -> list[Path]:
    """Of several kinds of weights the one that an engine loads."""
    safe = sorted(folder.glob("*.safetensors"))
    ours = [file for file in safe if not file.name.startswith("consolidated")]
    return ours or safe or sorted(folder.glob("pytorch_model*.bin"))


def _total(folder: Path, files: list[Path]) -> float:
    found = sum(file.stat().st_size for file in files) / GIB or _told(folder)
    return found if 0 < found < _MOST_GIB else 0.0


def _told(folder: Path) -> float:
    """GiB that an index says the weights have; 0 where none says."""
    for name in _INDEXES:
        if (folder / name).exists():
            return float(_index(folder / name)["metadata"]["total_size"]) / GIB
    return 0.0


def _index(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def _doubt(folder: Path, files: list[Path]) -> str:
    for file in files:
        fault = _fault(file)
        if fault:
            return f"{file.name} {fault}: the weights are reckoned from config.json"
    missing = _missing(folder, files)
    if missing:
        return f"{missing} does not lie beside config.json: the weights are reckoned from it"
    return ""


def _missing(folder: Path, files: list[Path]) -> str:
    """A weight file that others, or the index, say there is."""
    names = {file.name for file in files}
    for file in files:
        match = _SHARD.search(file.name)
        if match and len([one for one in names if f"-of-{match[2]}." in one]) < int(match[2]):
            return f"a shard ({file.name} says there are {int(match[2])})"
    for name in _INDEXES:
        if files and (folder / name).exists() and files[0].suffix.removeprefix(".") in name:
            gone = sorted(set(_index(folder / name).get("weight_map", {}).values()) - names)
            if gone:
                return str(gone[0])
    told, there = _told(folder) if files else 0.0, sum(file.stat().st_size for file in files) / GIB
    return f"all of it ({there:.1f} of the {told:.1f} GiB that the index names)" if there < told * _NEARLY_ALL else ""


def _fault(file: Path) -> str:
    """What is wrong with a weight file, in words; "" where nothing is."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        head = opened.read(max(8, len(_POINTER)))
        if head.startswith(_POINTER):
            return "is a pointer of git-lfs and not the weights (run git lfs pull)"
        if file.suffix != ".safetensors":
            return ""
        length = int.from_bytes(head[:8], "little")
        if size < 8 or length > size - 8:
            return "is shorter than its header says"
        if not length or length > _MOST_HEADER:
            return ""
        opened.seek(8)
        return "is shorter than its header says" if size < 8 + length + _data_bytes(opened.read(length)) else ""


def _data_bytes(header: bytes) -> int:
    """Bytes of the tensors that a safetensors header lists; 0 where it is none."""
    try:
        listed = json.loads(header)
        return max((int(one["data_offsets"][1]) for name, one in listed.items() if name != "__metadata__"), default=0)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        return 0
