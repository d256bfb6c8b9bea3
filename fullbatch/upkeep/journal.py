"""What is under way, so that the next command can finish or undo what a kill or a power cut has left."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fullbatch.core.errors import StateError
from fullbatch.upkeep import lock

# `prepare`: nothing that runs has been touched; `change`: it may have been; `undo`: it goes back; `done`: it is good,
# only leftovers are to be cleared.
Phase = Literal["prepare", "change", "undo", "done"]


@dataclass(frozen=True)
class JournalEntry:
    """`what`: upgrade, rollback or restore. `backup`: the file to go (back) to. `target`: variable -> image."""

    what: str
    phase: Phase
    backup: str = ""
    target: Mapping[str, str] = dataclasses.field(default_factory=dict)


def read(root: Path) -> JournalEntry | None:
    """None when nothing was left; StateError when it is not one of ours."""
    path = _path(root)
    try:
        return JournalEntry(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise StateError(
            f"{path}: is not a journal of ours ({error}); look at `fullbatch status`, then remove it"
        ) from None


def write(root: Path, entry: JournalEntry) -> None:
    """In one step, and on the disk when this returns."""
    path = lock.folder(root) / _path(root).name
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8") as file:
        json.dump(dataclasses.asdict(entry), file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    _sync(path.parent)


def clear(root: Path) -> None:
    """All is done."""
    _path(root).unlink(missing_ok=True)


def _path(root: Path) -> Path:
    return root / ".fullbatch" / "upkeep" / "journal.json"


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
