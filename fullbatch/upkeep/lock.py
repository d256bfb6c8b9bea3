"""One at a time: backup, restore, upgrade and rollback of a checkout take this lock. A killed one leaves none."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from fullbatch.core.errors import StateError


def folder(root: Path) -> Path:
    """Where lock and journal are; made here, for its owner only."""
    path = root / ".fullbatch" / "upkeep"
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


@contextlib.contextmanager
def held(root: Path, what: str) -> Iterator[None]:
    """StateError when another one holds it, who says what it does."""
    descriptor = os.open(folder(root) / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = file.read().strip() or "another command"
            raise StateError(f"{what}: {other} is under way in this checkout; wait until it has ended") from None
        file.truncate(0)
        file.seek(0)
        file.write(f"fullbatch {what} (process {os.getpid()})")
        file.flush()
        yield
