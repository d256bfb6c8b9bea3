"""Finishes or undoes what a kill or a power cut has left half-done. Every command that changes something begins so."""

from __future__ import annotations

from pathlib import Path

from fullbatch.core.errors import FullbatchError, StateError
from fullbatch.runtime.base import Say
from fullbatch.upkeep import archive, backup, journal


def recover(root: Path, say: Say) -> None:
    """Nothing is under way when this returns. StateError when somebody has to look."""
    left = journal.read(root)
    if left is None:
        return
    say(f"a `fullbatch {left.what}` was cut off; finishing it")
    try:
        backup.put_back(root, archive.read(Path(left.backup)))
    except FullbatchError as error:
        raise StateError(str(error), "then restore any backup: fullbatch restore FILE") from None
    journal.clear(root)
