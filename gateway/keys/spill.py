"""The spill file: usage that could not be written at the stop, added to the store at the next start.

A file is one line of JSON. It is added exactly once: its id goes into the store in the transaction that adds its sums,
and a file whose id is there is only taken away. `make_room` holds some disk back, so that a full one has room for it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import uuid
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from gateway.keys.ledger import Tally, write

ROOM_BYTES = 1 << 20  # sums of some thousand keys and models
_SUFFIX = ".json"


@dataclass(frozen=True, slots=True)
class _Content:
    """What is in a file. ``days``: by day, rows of key, model, whether exact, and the four sums of `ledger`."""

    id: str
    days: dict[str, list[tuple[str, str, bool, int, int, int, int]]]
    used: dict[str, float]


_CONTENT = TypeAdapter(_Content)


def content_of(days: dict[str, Tally], used: dict[str, float]) -> bytes:
    """The line for a file, with an id of its own."""
    rows = {
        day: [(*where, sums[0], sums[1], sums[2], sums[3]) for where, sums in tally.items()]
        for day, tally in days.items()
    }
    return _CONTENT.dump_json(_Content(uuid.uuid4().hex, rows, used)) + b"\n"


def file_for(store: Path) -> Path:
    """A name that no other file has."""
    return store.with_name(f"{_prefix(store)}{uuid.uuid4().hex}{_SUFFIX}")


def keep(path: Path, content: bytes) -> None:
    """Write the file, whole or not at all, readable by its owner only.

    Raises:
        OSError: it cannot be written.
    """
    part = path.with_suffix(".part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def add_all(connection: sqlite3.Connection, store: Path) -> tuple[list[Path], list[Path]]:
    """Add what waits beside this store and take it away; returns files that were, and files that are not `keep`'s.

    Raises:
        sqlite3.Error, OSError: not all could be added; to be tried again.
    """
    added, foreign = [], []
    prefix = _prefix(store)
    for path in sorted(store.parent.iterdir()):
        if path.name.startswith(prefix) and path.suffix == _SUFFIX:
            try:
                _add(connection, path)
                added.append(path)
            except FileNotFoundError:
                continue  # another program was first
            except ValidationError:
                foreign.append(path)
    return added, foreign


def parsed(content: bytes) -> tuple[str, dict[str, Tally], dict[str, float]]:
    """What `content_of` has made: its id, sums by day, and when keys were last used.

    Raises:
        ValidationError: it is something else.
    """
    found = _CONTENT.validate_json(content, strict=True)
    days = {day: {(key, model, exact): sums for key, model, exact, *sums in rows} for day, rows in found.days.items()}
    return found.id, days, found.used


def _add(connection: sqlite3.Connection, path: Path) -> None:
    name, days, used = parsed(path.read_bytes())
    write(connection, days, used, name)
    path.unlink(missing_ok=True)


def make_room(store: Path) -> None:
    """Hold back some of the disk, if there is any. For all programs with this store the same."""
    with contextlib.suppress(OSError):
        file = os.open(_room(store), os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.posix_fallocate(file, 0, ROOM_BYTES)
        finally:
            os.close(file)


def give_room(store: Path) -> None:
    with contextlib.suppress(OSError):
        _room(store).unlink(missing_ok=True)


def _prefix(store: Path) -> str:
    return f"{store.name}.unwritten-"


def _room(store: Path) -> Path:
    return store.with_name(f"{store.name}.room")
