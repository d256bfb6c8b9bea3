"""The key store: one SQLite file with keys and usage. It has keys as SHA-256 digests; the file alone grants no access.

A plain digest is right for these keys and would be wrong for passwords: see docs/decisions/0007-keys-and-usage.md.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from common.api_key import new_key
from gateway.keys.schema import OPEN_BUSY_S, SchemaError, prepare
from gateway.keys.stored import IDENTITY, NAME, RESERVED_NAMES, TERMS, StoredKey, StoreError, Terms, digest_of, of_row

# How long a writer waits for another one. Transactions here take less than a millisecond.
BUSY_S = 0.25


class KeyStore:
    """An open store. To be used by one thread."""

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

    def close(self) -> None:
        self.connection.close()

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
        with self._told():
            if self._has_usage(name) and name not in {key.name for key in self.keys()}:
                raise StoreError(f"'{name}': that name holds the usage of a deleted key; choose another name")
            try:
                self.connection.execute(
                    f"INSERT INTO keys ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
                    (name, digest_of(key), time.time(), *terms.row()),
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
        with self._told():
            columns = ", ".join(f"{name} = ?" for name in TERMS)
            self.connection.execute(f"UPDATE keys SET {columns} WHERE name = ?", (*terms.row(), name))

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

    def delete(self, name: str) -> None:
        """Take a revoked key out of the list. Its usage stays, and so its name is given to no other.

        Raises:
            StoreError: no such key, or it is not revoked.
        """
        if self.get(name).revoked is None:
            raise StoreError(f"'{name}': is not revoked; revoke it first")
        with self._told():
            # Of what is left by a kill between the two nobody hears.
            self.connection.execute("DELETE FROM last_used WHERE name = ?", (name,))
            self.connection.execute("DELETE FROM keys WHERE name = ?", (name,))

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
        with self._told():
            columns = ", ".join((*IDENTITY, "at", *TERMS))
            rows = self.connection.execute(
                f"SELECT {columns} FROM keys LEFT JOIN last_used USING (name) ORDER BY name"
            ).fetchall()
        return [of_row(row) for row in rows]

    def version(self) -> int:
        """Changes when another connection has written; costs no read of the file itself."""
        found: int = self.connection.execute("PRAGMA data_version").fetchone()[0]
        return found

    def _has_usage(self, name: str) -> bool:
        return self.connection.execute("SELECT 1 FROM usage WHERE key = ? LIMIT 1", (name,)).fetchone() is not None

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
