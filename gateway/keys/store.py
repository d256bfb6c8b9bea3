"""A store of keys and usage, of whatever kind: the rules are here. It has keys as SHA-256 digests; it grants no access.

A plain digest is right for these keys and would be wrong for passwords: see docs/decisions/0007-keys-and-usage.md.
Kinds: `KeyStore`, one SQLite file; `postgres.PostgresStore`, a server for several gateways (`opening` chooses).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from common.api_key import new_key
from gateway.keys.ledger import GROUPS, SEPARATOR, UsageLine
from gateway.keys.schema import OPEN_BUSY_S, SchemaError, prepare
from gateway.keys.stored import IDENTITY, NAME, RESERVED_NAMES, TERMS, StoredKey, StoreError, Terms, digest_of, of_row

# How long a writer waits for another one. Transactions here take less than a millisecond.
BUSY_S = 0.25


class KeyTaken(StoreError):
    """A row of that name is there."""


class Store(ABC):
    """An open store. To be used by one thread."""

    @abstractmethod
    def run(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """One statement, in words that all kinds know, with '?' for each value; its rows.

        Raises:
            StoreError: it cannot be used; KeyTaken where a row of that name is there.
        """

    @abstractmethod
    def close(self) -> None: ...

    def create(self, name: str, terms: Terms) -> str:
        """Add a key; returns it, which nobody can do a second time.

        Raises:
            StoreError: the name is taken or not allowed.
        """
        if not NAME.fullmatch(name) or name in RESERVED_NAMES:
            raise StoreError(
                f"'{name}': write a name of letters, digits, '.', '_' and '-', at most 64, and not 'other'"
            )
        key = new_key()
        columns = ("name", "digest", "created", *TERMS)
        if self._has_usage(name) and name not in {key.name for key in self.keys()}:
            raise StoreError(f"'{name}': that name holds the usage of a deleted key; choose another name")
        try:
            self.run(
                f"INSERT INTO keys ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
                (name, digest_of(key), time.time(), *terms.row()),
            )
        except KeyTaken:
            why = "revoked keys keep their name, so that usage stays theirs" if self.get(name).revoked else "see list"
            raise StoreError(f"'{name}': there is a key of that name ({why}); choose another name") from None
        return key

    def change(self, name: str, terms: Terms) -> None:
        """Other terms for a key; its secret stays.

        Raises:
            StoreError: no such key.
        """
        self.get(name)
        columns = ", ".join(f"{name} = ?" for name in TERMS)
        self.run(f"UPDATE keys SET {columns} WHERE name = ?", (*terms.row(), name))

    def rotate(self, name: str, grace_s: float) -> str:
        """A new secret for a key; the old one is valid for so long more. Returns the new one.

        Raises:
            StoreError: no such key, or it is revoked.
        """
        old = self.get(name)
        if old.revoked is not None:
            raise StoreError(f"'{name}': is revoked; create another key")
        key, now = new_key(), time.time()
        self.run(
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
        self.run(
            "UPDATE keys SET revoked = coalesce(revoked, ?), previous_digest = NULL WHERE name = ?",
            (time.time(), name),
        )

    def delete(self, name: str) -> None:
        """Take a revoked key out of the list. Its usage stays, and so its name is given to no other.

        Raises:
            StoreError: no such key, or it is not revoked.
        """
        if self.get(name).revoked is None:
            raise StoreError(f"'{name}': is not revoked; revoke it first")
        # Of what is left by a kill between the two nobody hears.
        self.run("DELETE FROM last_used WHERE name = ?", (name,))
        self.run("DELETE FROM keys WHERE name = ?", (name,))

    def get(self, name: str) -> StoredKey:
        """One key.

        Raises:
            StoreError: no such key.
        """
        found = [key for key in self.keys() if key.name == name]
        if not found:
            raise StoreError(f"'{name}': no key of that name; `list` shows the names")
        return found[0]

    def keys(self) -> list[StoredKey]:
        """All keys, by name."""
        columns = ", ".join((*IDENTITY, "at", *TERMS))
        rows = self.run(f"SELECT {columns} FROM keys LEFT JOIN last_used USING (name) ORDER BY name")
        return [of_row(row) for row in rows]

    def report(self, by: Iterable[str], since: str, until: str, key: str | None = None) -> list[UsageLine]:
        """Sums by key, model or day, or several of them; ``since`` and ``until`` are days, both included.

        ``key``: of this one alone.
        """
        columns = [GROUPS[name] for name in by]
        chosen, of = "".join(f"{name}, " for name in columns), [since, until]
        only = ""
        if key is not None:
            only = " AND key = ?"
            of.append(key)
        numbers = ", ".join(str(number + 1) for number in range(len(columns)))
        rows = self.run(
            f"SELECT {chosen}sum(requests), sum(prompt_tokens), sum(cached_tokens), sum(completion_tokens),"
            f" sum(CASE WHEN exact THEN 0 ELSE requests END) FROM usage WHERE day BETWEEN ? AND ?{only}"
            + (f" GROUP BY {numbers} ORDER BY {numbers}" if columns else " HAVING count(*) > 0"),
            of,
        )
        count = len(columns)
        return [UsageLine(SEPARATOR.join(row[:count]) or "all", *map(int, row[count:])) for row in rows]

    def _has_usage(self, name: str) -> bool:
        return bool(self.run("SELECT 1 FROM usage WHERE key = ? LIMIT 1", (name,)))


class KeyStore(Store):
    """One SQLite file."""

    def __init__(self, path: Path, busy_s: float = BUSY_S) -> None:
        """Open the file; make it, readable by its owner only, if it is not there.

        Raises:
            StoreError: it cannot be opened, is something else than a key store, or is one of a later version.
        """
        self.path = path
        with self._told():
            with contextlib.suppress(FileExistsError):
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            if not path.is_file():
                raise StoreError(f"{path}: is not a regular file; give one, or a name that is free")
            self.connection = _connected(path, busy_s)

    def run(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._told():
            try:
                return self.connection.execute(sql, values).fetchall()
            except sqlite3.IntegrityError as error:
                raise KeyTaken(str(error)) from None

    def close(self) -> None:
        self.connection.close()

    def version(self) -> int:
        """Changes when another connection has written; costs no read of the file itself."""
        found: int = self.connection.execute("PRAGMA data_version").fetchone()[0]
        return found

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except SchemaError as error:
            raise StoreError(f"{self.path}: {error}") from None
        except OSError as error:
            raise StoreError(
                f"{self.path}: {(error.strerror or str(error)).lower()}; give a file you may write"
            ) from None
        except sqlite3.Error as error:
            raise StoreError(
                f"{self.path}: the key store cannot be used ({error}); try again, or give another file"
            ) from None


def _connected(path: Path, busy_s: float) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=OPEN_BUSY_S, isolation_level=None, check_same_thread=False)
    with contextlib.ExitStack() as undo:
        undo.callback(connection.close)
        prepare(connection, path)
        connection.execute(f"PRAGMA busy_timeout = {round(busy_s * 1000)}")
        undo.pop_all()
    return connection
