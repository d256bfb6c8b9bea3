"""The key store's tables, and the migration of a file of an earlier version.

SQLite keeps the version in the file (``PRAGMA user_version``). Version 0 is every store of before there were any.

SchemaError   the file is another program's, or a later version's; one line that ends with what would be right
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import time
from pathlib import Path

APPLICATION_ID = 0x46425354  # "FBST": another program's database is refused instead of written to
# How long opening waits for another program that makes or migrates the same file, which copies it first.
OPEN_BUSY_S = 10.0
_VERSION_0 = """
CREATE TABLE keys (
  name TEXT PRIMARY KEY,
  digest BLOB NOT NULL UNIQUE,
  previous_digest BLOB,
  previous_until REAL,
  created REAL NOT NULL,
  rotated REAL,
  expires REAL,
  revoked REAL,
  models TEXT,
  requests_per_minute INTEGER,
  tokens_per_minute INTEGER,
  concurrent INTEGER,
  weight REAL NOT NULL DEFAULT 1,
  priority TEXT NOT NULL DEFAULT 'normal'
) STRICT;
CREATE TABLE last_used (name TEXT PRIMARY KEY, at REAL NOT NULL) STRICT;
CREATE TABLE usage (
  day TEXT NOT NULL,
  key TEXT NOT NULL,
  model TEXT NOT NULL,
  exact INTEGER NOT NULL,
  requests INTEGER NOT NULL,
  prompt_tokens INTEGER NOT NULL,
  cached_tokens INTEGER NOT NULL,
  completion_tokens INTEGER NOT NULL,
  PRIMARY KEY (day, key, model, exact)
) STRICT, WITHOUT ROWID;
"""
# STEPS[n] makes version n + 1 of version n. None is changed once it is released: a new column is a new step. They only
# add, so that a gateway of the version before goes on beside it. A term's column is called as in `stored.Terms`.
STEPS = (
    # Which spilled files of usage are in the sums: `spill` adds each exactly once.
    "CREATE TABLE spilled (id TEXT PRIMARY KEY, at REAL NOT NULL) STRICT;",
    # What one request of a key may ask for at most.
    "ALTER TABLE keys ADD COLUMN max_output_tokens INTEGER;"
    "ALTER TABLE keys ADD COLUMN max_body_bytes INTEGER;"
    "ALTER TABLE keys ADD COLUMN structured INTEGER NOT NULL DEFAULT 1;",
    # Whether it says in a header for whom it asks.
    "ALTER TABLE keys ADD COLUMN trusted INTEGER NOT NULL DEFAULT 0;",
    # Usage on its way to the PostgreSQL of several gateways (`outbox`).
    "CREATE TABLE leaving (id TEXT PRIMARY KEY, content BLOB NOT NULL) STRICT;",
)
VERSION = len(STEPS)
_log = logging.getLogger("gateway")


class SchemaError(Exception):
    """The message is one line without the file's name."""


def prepare(connection: sqlite3.Connection, path: Path, steps: tuple[str, ...] = STEPS) -> None:
    """Make an empty file a store, and an earlier store one of today; a copy of what it was is put beside it first.

    Several programs may do this at once. One that is killed in the middle leaves the file as it was.

    Raises:
        SchemaError: it is not a store, or one of a later version. The file is as it was.
        sqlite3.Error, OSError: it cannot be read, copied or written.
    """
    found = _version(connection, len(steps))
    # Readers and the one writer do not wait for each other. NORMAL: a commit survives the end of the process,
    # and a power cut may lose the last ones without harm to the file.
    _write_ahead(connection)
    connection.execute("PRAGMA synchronous = NORMAL")
    if found == len(steps):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = _version(connection, len(steps))  # another program may have been first
        if found is not None and found < len(steps):
            _copy(path, kept(path, found))
        for script in (_VERSION_0, *steps) if found is None else steps[found:]:
            for statement in filter(None, map(str.strip, script.split(";"))):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(steps)}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    if found is not None and found < len(steps):
        _log.warning("%s: now of version %d; as it was: %s", path, len(steps), kept(path, found))


def kept(path: Path, version: int) -> Path:
    """Where the copy of a store is that was of this version."""
    return path.with_name(f"{path.name}.version-{version}")


def _version(connection: sqlite3.Connection, known: int) -> int | None:
    """None: there is nothing in the file yet."""
    own = not connection.in_transaction
    if own:
        connection.execute("BEGIN")  # all three of one moment: another program may be making the tables
    try:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    finally:
        if own and connection.in_transaction:
            connection.execute("ROLLBACK")
    if application != APPLICATION_ID:
        if tables or version:
            raise SchemaError("is a database of another program; give another file")
        return None
    if version > known:
        raise SchemaError(
            f"is a key store of version {version}, and this program knows {known}; update it, or go back to the copy "
            f"that was made before (FILE.version-{known})"
        )
    return version


def _write_ahead(connection: sqlite3.Connection) -> None:
    """SQLite does not wait for others here, however it is told to."""
    end = time.monotonic() + OPEN_BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


def _copy(path: Path, to: Path) -> None:
    """While the caller holds the lock for writing, so nothing changes; readable by the owner only."""
    part = to.with_name(f"{to.name}.part")
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with contextlib.closing(sqlite3.connect(path)) as source, contextlib.closing(sqlite3.connect(part)) as target:
            source.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")  # one file, without others beside it
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(to)
    finally:
        part.unlink(missing_ok=True)
