"""The key store: one SQLite file with keys and usage. Keys are in it only as SHA-256 digests, so it opens no door.

A plain digest is right for these keys and would be wrong for passwords: see docs/decisions/0007-keys-and-usage.md.

StoreError   the file is not usable, or what was asked cannot be done; one line for the person who asked
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.call import Principal
from gateway.queueing import LEVELS

# 24 random bytes are 192 bits, and 32 URL-safe characters.
RANDOM_BYTES = 24
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# Metrics put the keys beyond the first hundred under this name.
RESERVED_NAMES = frozenset({"other"})
# How long a writer waits for another one. Transactions here take less than a millisecond.
BUSY_S = 0.25
_APPLICATION_ID = 0x46425354  # "FBST": another program's database is refused instead of written to
_SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (
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
CREATE TABLE IF NOT EXISTS last_used (name TEXT PRIMARY KEY, at REAL NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS usage (
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


class StoreError(Exception):
    """The message is one line: where, what, and what would be right."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a key may, as a person says it. None: without limit. ``expires``: Unix time."""

    expires: float | None = None
    models: tuple[str, ...] | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent: int | None = None
    weight: float = 1.0
    priority: str = "normal"


@dataclass(frozen=True, slots=True)
class StoredKey:
    """One key as the store knows it; times are Unix times. ``previous_until``: so long is the key before it valid."""

    name: str
    digest: bytes
    previous_digest: bytes | None
    previous_until: float | None
    created: float
    rotated: float | None
    revoked: float | None
    last_used: float | None
    terms: Terms

    def state(self, now: float) -> str:
        if self.revoked is not None:
            return "revoked"
        expires = self.terms.expires
        return "expired" if expires is not None and expires <= now else "active"

    def principal(self) -> Principal:
        terms = self.terms
        return Principal(
            name=self.name,
            weight=terms.weight,
            priority=terms.priority if terms.priority in LEVELS else "normal",
            models=None if terms.models is None else frozenset(terms.models),
            requests_per_minute=terms.requests_per_minute,
            tokens_per_minute=terms.tokens_per_minute,
            concurrent=terms.concurrent,
            expires=terms.expires,
        )


class KeyStore:
    """An open store. To be used by one thread."""

    def __init__(self, path: Path, busy_s: float = BUSY_S) -> None:
        """Open the file; make it, readable by its owner only, if it is not there.

        Raises:
            StoreError: it cannot be opened, or is something else than a key store.
        """
        self.path = path
        with self._told():
            with contextlib.suppress(FileExistsError):
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            self.connection = sqlite3.connect(path, timeout=busy_s, isolation_level=None, check_same_thread=False)
            self._prepare()

    def close(self) -> None:
        self.connection.close()

    def create(self, name: str, terms: Terms) -> str:
        """Add a key; returns it, which nobody can do a second time.

        Raises:
            StoreError: the name is taken or not allowed.
        """
        if not NAME.fullmatch(name) or name in RESERVED_NAMES:
            raise StoreError(
                f"'{name}': not a name for a key; letters, digits, '.', '_' and '-', at most 64, not 'other'"
            )
        key = new_key()
        models = None if terms.models is None else ",".join(terms.models)
        row = (name, digest_of(key), time.time(), terms.expires, models, terms.requests_per_minute,
               terms.tokens_per_minute, terms.concurrent, terms.weight, terms.priority)  # fmt: skip
        with self._told():
            try:
                self.connection.execute(
                    "INSERT INTO keys (name, digest, created, expires, models, requests_per_minute, tokens_per_minute,"
                    " concurrent, weight, priority) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    row,
                )
            except sqlite3.IntegrityError:
                why = (
                    "revoked keys keep their name, so that usage stays theirs" if self.get(name).revoked else "see list"
                )
                raise StoreError(f"'{name}': there is a key of that name ({why}); choose another name") from None
        return key

    def change(self, name: str, terms: Terms) -> None:
        """Other terms for a key; its secret stays.

        Raises:
            StoreError: no such key.
        """
        self.get(name)
        models = None if terms.models is None else ",".join(terms.models)
        row = (terms.expires, models, terms.requests_per_minute, terms.tokens_per_minute, terms.concurrent,
               terms.weight, terms.priority, name)  # fmt: skip
        with self._told():
            self.connection.execute(
                "UPDATE keys SET expires = ?, models = ?, requests_per_minute = ?, tokens_per_minute = ?,"
                " concurrent = ?, weight = ?, priority = ? WHERE name = ?",
                row,
            )

    def rotate(self, name: str, grace_s: float) -> str:
        """A new secret for a key; the old one is valid for so long more. Returns the new one.

        Raises:
            StoreError: no such key, or it is revoked.
        """
        old = self.get(name)
        if old.revoked is not None:
            raise StoreError(f"'{name}': is revoked; create another key")
        key, now = new_key(), time.time()
        with self._told():
            self.connection.execute(
                "UPDATE keys SET digest = ?, previous_digest = ?, previous_until = ?, rotated = ? WHERE name = ?",
                (digest_of(key), old.digest if grace_s else None, now + grace_s if grace_s else None, now, name),
            )
        return key

    def revoke(self, name: str) -> None:
        """A key and what it was before its rotation are of no use from now on.

        Raises:
            StoreError: no such key.
        """
        self.get(name)
        with self._told():
            self.connection.execute(
                "UPDATE keys SET revoked = coalesce(revoked, ?), previous_digest = NULL WHERE name = ?",
                (time.time(), name),
            )

    def get(self, name: str) -> StoredKey:
        """One key.

        Raises:
            StoreError: no such key.
        """
        found = [key for key in self.keys() if key.name == name]
        if not found:
            raise StoreError(f"'{name}': no key of that name; see list")
        return found[0]

    def keys(self) -> list[StoredKey]:
        """All keys, by name."""
        with self._told():
            rows = self.connection.execute(
                "SELECT name, digest, previous_digest, previous_until, created, rotated, revoked, at, expires, models,"
                " requests_per_minute, tokens_per_minute, concurrent, weight, priority"
                " FROM keys LEFT JOIN last_used USING (name) ORDER BY name"
            ).fetchall()
        return [_stored(row) for row in rows]

    def version(self) -> int:
        """Changes when another connection has written; costs no read of the file itself."""
        found: int = self.connection.execute("PRAGMA data_version").fetchone()[0]
        return found

    def _prepare(self) -> None:
        connection = self.connection
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if application != _APPLICATION_ID and tables:
            raise StoreError(f"{self.path}: is a database of another program; give another file")
        # Readers and the one writer do not wait for each other. NORMAL: a commit survives the end of the process,
        # and a power cut may lose the last ones without harm to the file.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        if not tables:
            connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA application_id = {_APPLICATION_ID}; COMMIT;")

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"{self.path}: {(error.strerror or str(error)).lower()}; give a file you may write"
            ) from None
        except sqlite3.Error as error:
            raise StoreError(
                f"{self.path}: the key store cannot be used ({error}); try again, or give another file"
            ) from None


def new_key() -> str:
    return f"fb-{secrets.token_urlsafe(RANDOM_BYTES)}"


def digest_of(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _stored(row: tuple[Any, ...]) -> StoredKey:
    models: str | None = row[9]
    terms = Terms(row[8], None if models is None else tuple(models.split(",")), *row[10:])
    return StoredKey(row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7], terms)
