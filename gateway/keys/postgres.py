"""Keys and usage of several gateways in one PostgreSQL, in a schema `fullbatch` of its own. For one thread.

PostgresGone      it does not answer, or not now; another try may help
PostgresRefused   what is there is not ours, or lets us not in (of `server_file`)
"""

from __future__ import annotations

import contextlib
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, cast

import psycopg
from psycopg.errors import UniqueViolation

from gateway.keys.ledger import MOST, Tally
from gateway.keys.server_file import PostgresRefused, PostgresServer
from gateway.keys.store import KeyTaken, Store
from gateway.keys.stored import IDENTITY, TERMS, StoredKey, StoreError

CONNECT_S, STATEMENT_MS, LOST_MS = 2, 5000, 5000
# A batch of usage is remembered for so long where its gateway did not say that it heard of its being there.
REMEMBERED = "90 days"
_LOCK = 0x46425354
# STEPS[n] makes version n + 1 of version n. None is changed once it is released. `oldest` is the oldest version whose
# programs can work with it; a step that only adds leaves that as it is.
STEPS = (
    """
CREATE TABLE about (id TEXT NOT NULL, version INTEGER NOT NULL, oldest INTEGER NOT NULL,
  changes BIGINT NOT NULL DEFAULT 0, made TIMESTAMPTZ NOT NULL DEFAULT now(), closed TIMESTAMPTZ);
CREATE TABLE keys (
  name TEXT COLLATE "C" PRIMARY KEY, digest BYTEA NOT NULL UNIQUE, previous_digest BYTEA,
  previous_until DOUBLE PRECISION, created DOUBLE PRECISION NOT NULL, rotated DOUBLE PRECISION,
  revoked DOUBLE PRECISION, expires DOUBLE PRECISION, models TEXT, requests_per_minute BIGINT,
  tokens_per_minute BIGINT, concurrent BIGINT, weight DOUBLE PRECISION NOT NULL DEFAULT 1,
  priority TEXT NOT NULL DEFAULT 'normal', max_output_tokens BIGINT, max_body_bytes BIGINT,
  structured BOOLEAN NOT NULL DEFAULT true, trusted BOOLEAN NOT NULL DEFAULT false);
CREATE TABLE last_used (name TEXT COLLATE "C" PRIMARY KEY, at DOUBLE PRECISION NOT NULL);
CREATE TABLE usage (
  day TEXT COLLATE "C" NOT NULL, key TEXT COLLATE "C" NOT NULL, model TEXT COLLATE "C" NOT NULL,
  exact BOOLEAN NOT NULL, requests BIGINT NOT NULL, prompt_tokens BIGINT NOT NULL, cached_tokens BIGINT NOT NULL,
  completion_tokens BIGINT NOT NULL, PRIMARY KEY (day, key, model, exact));
CREATE TABLE batches (id TEXT PRIMARY KEY, at TIMESTAMPTZ NOT NULL DEFAULT now());
CREATE INDEX batches_at ON batches (at);
CREATE FUNCTION changed() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN UPDATE fullbatch.about SET changes = changes + 1; RETURN NULL; END';
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON keys FOR EACH STATEMENT EXECUTE FUNCTION changed();
""",
)
VERSION = len(STEPS)
_COUNTS = ("requests", "prompt_tokens", "cached_tokens", "completion_tokens")
_ADD = (
    f"INSERT INTO usage AS u (day, key, model, exact, {', '.join(_COUNTS)}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
    " ON CONFLICT (day, key, model, exact) DO UPDATE SET "
    + ", ".join(f"{name} = least(u.{name} + excluded.{name}, {MOST})" for name in _COUNTS)
)
_USED = (
    "INSERT INTO last_used AS l (name, at) SELECT name, %s FROM keys WHERE name = %s"
    " ON CONFLICT (name) DO UPDATE SET at = greatest(l.at, excluded.at)"
)
# What a server says that will take us later; anything else that it says itself is for good.
_LATER = re.compile("starting up|shutting down|recovery|too many|connection slots|administrator|not yet accepting")
_FOR_GOOD = re.compile("FATAL|SSL|certificate|private key")
# What libpq says of TLS -> what would be right.
_REMEDIES = {
    "certificate verify failed": "its certificate is not signed by a CA that is known here; give that CA by --ca-file",
    "does not match host name": "write a name that its certificate has, or have a certificate made for this one",
    "does not support SSL": "turn TLS on there (ssl = on)",
    "root certificate file": "give the CA that has signed its certificate, by --ca-file",
}


class PostgresGone(StoreError):
    """To be tried again."""


class PostgresStore(Store):
    """An open connection. ``id``: of the store there; ``ended``: whether it is closed."""

    def __init__(self, server: PostgresServer, *, make: bool = False, ended_too: bool = False) -> None:
        """``make``: where the database has no store, make one. ``ended_too``: also one that was closed.

        Raises:
            PostgresRefused, PostgresGone
        """
        self.server = server
        self.ended = False
        self._ended_too = ended_too
        with self._told():
            self._connection = psycopg.connect(
                **cast(dict[str, Any], dict(server.words)),
                autocommit=True,
                connect_timeout=CONNECT_S,
                application_name="fullbatch",
                tcp_user_timeout=LOST_MS,
                client_encoding="utf8",
                prepare_threshold=None,
            )
        with contextlib.ExitStack() as undo:
            undo.callback(self._connection.close)
            with self._told():
                for setting in ("search_path = fullbatch", f"statement_timeout = {STATEMENT_MS}"):
                    self._execute(f"SET {setting}")
                self.id = self._prepared(make)
            undo.pop_all()

    def run(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._told():
            try:
                done = self._execute(sql.replace("?", "%s"), values)
            except UniqueViolation as error:
                raise KeyTaken(_first_line(error)) from None
            return done.fetchall() if done.description else []

    def close(self) -> None:
        self._connection.close()

    def changes(self) -> int:
        """Counts up with every change of the keys, whoever makes it.

        Raises:
            PostgresRefused: the store is not this one's any more. PostgresGone.
        """
        rows = self.run("SELECT changes, id, closed FROM about")
        if len(rows) != 1 or rows[0][1] != self.id or rows[0][2] is not None:
            raise self._not_there()
        return int(rows[0][0])

    def batches(self) -> set[str]:
        """Those that were added, and of which no gateway has said that it has heard it."""
        return {row[0] for row in self.run("SELECT id FROM batches")}

    def add(self, batch: str, days: dict[str, Tally], used: dict[str, float], heard: Sequence[str] = ()) -> None:
        """Add sums of usage once, however often this ``batch`` is added. ``heard``: earlier ones, to be forgotten.

        Raises:
            PostgresGone: it may be there or not; add it again.
        """
        rows = [
            (day, key.replace("\0", ""), model.replace("\0", ""), exact, *(min(count, MOST) for count in sums))
            for day, tally in days.items()
            for (key, model, exact), sums in tally.items()
        ]
        with self._told(), self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM about WHERE closed IS NULL FOR SHARE")
            if cursor.fetchone() is None:
                raise self._not_there()
            cursor.execute(
                f"DELETE FROM batches WHERE id = ANY(%s) OR at < now() - interval '{REMEMBERED}'", (list(heard),)
            )
            cursor.execute("INSERT INTO batches (id) VALUES (%s) ON CONFLICT DO NOTHING", (batch,))
            if cursor.rowcount == 1:
                cursor.executemany(_ADD, sorted(rows))  # in one order: two gateways do not wait for each other in turn
                cursor.executemany(_USED, sorted((at, name) for name, at in used.items()))

    def put(self, keys: Sequence[StoredKey]) -> None:
        """Add keys as they are, all or none.

        Raises:
            KeyTaken: one of these names or digests is there. PostgresGone.
        """
        columns = (*IDENTITY, *TERMS)
        sql = f"INSERT INTO keys ({', '.join(columns)}) VALUES ({', '.join(['%s'] * len(columns))})"
        rows = [(*(getattr(key, name) for name in IDENTITY), *key.terms.row()) for key in keys]
        with self._told(), self._connection.transaction(), self._connection.cursor() as cursor:
            try:
                cursor.executemany(sql, rows)
            except UniqueViolation as error:
                raise KeyTaken(_first_line(error)) from None

    def finish(self) -> None:
        """Nobody is to write here any more; what is there stays."""
        self.run("UPDATE about SET closed = now()")

    def usage(self) -> dict[str, Tally]:
        """All sums, by day."""
        days: dict[str, Tally] = {}
        for day, key, model, exact, *sums in self.run(
            f"SELECT day, key, model, exact, {', '.join(_COUNTS)} FROM usage"
        ):
            days.setdefault(day, {})[(key, model, exact)] = sums
        return days

    def _not_there(self) -> PostgresRefused:
        return PostgresRefused(f"{self.server.where}: the store is not there any more, or was moved back to one box")

    def _prepared(self, make: bool) -> str:
        """The id of what is there, migrated, or made."""
        where = self.server.where
        with self._connection.transaction():
            self._execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            found = self._execute(
                "SELECT relname::text FROM pg_class WHERE relnamespace = to_regnamespace('fullbatch')"
            ).fetchall()
            names = {row[0] for row in found}
            if not names:
                if not make:
                    raise PostgresRefused(f"{where}: holds no store; make one with: fullbatch store to-postgres")
                return self._made()
            if not {"about", "keys", "usage", "batches"} <= names:
                raise PostgresRefused(f"{where}: has a schema 'fullbatch' of another program; give another database")
            rows = self._execute("SELECT id, version, oldest, closed FROM fullbatch.about").fetchall()
            if len(rows) != 1:
                raise PostgresRefused(f"{where}: has a schema 'fullbatch' of another program; give another database")
            store_id, version, oldest, closed = rows[0]
            self._refuse(where, str(store_id), version, oldest, closed)
            for step in STEPS[version:]:
                self._execute(step)
            if version < VERSION:
                self._execute("UPDATE about SET version = %s", (VERSION,))
        return str(store_id)

    def _refuse(self, where: str, store_id: str, version: int, oldest: int, closed: object) -> None:
        if oldest > VERSION:
            raise PostgresRefused(
                f"{where}: is a store of version {version}, and this program knows {VERSION}; update this one"
            )
        self.ended = closed is not None
        if self.ended and not self._ended_too:
            raise PostgresRefused(
                f"{where}: the store was moved back to one box on {closed:%Y-%m-%d}; give another database"
            )
        if self.server.id and self.server.id != store_id:
            raise PostgresRefused(
                f"{where}: holds the store of another deployment ({store_id[:8]}, this one's is {self.server.id[:8]}); "
                "give this one's database, or another one"
            )

    def _made(self) -> str:
        self._execute("CREATE SCHEMA IF NOT EXISTS fullbatch")
        for step in STEPS:
            self._execute(step)
        store_id = uuid.uuid4().hex
        self._execute("INSERT INTO about (id, version, oldest) VALUES (%s, %s, 1)", (store_id, VERSION))
        return store_id

    def _execute(self, sql: str, values: Sequence[Any] = ()) -> psycopg.Cursor[tuple[Any, ...]]:
        return self._connection.execute(cast(Any, sql), values or None)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except psycopg.errors.InsufficientPrivilege as error:
            raise PostgresRefused(
                f"{self.server.where}: {_first_line(error)}; grant it, or give another user"
            ) from None
        except psycopg.errors.UndefinedColumn:
            raise PostgresRefused(
                f"{self.server.where}: has a schema 'fullbatch' of another program; give another database"
            ) from None
        except (psycopg.Error, OSError) as error:
            said = _first_line(error)
            if isinstance(error, psycopg.OperationalError) and _FOR_GOOD.search(said) and not _LATER.search(said):
                raise PostgresRefused(f"{self.server.where}: {said}") from None
            raise PostgresGone(f"{self.server.where}: {said}") from None


def _first_line(error: Exception) -> str:
    """Without the password, which libpq never repeats in these."""
    said = str(error).strip()
    line = " ".join(said.splitlines()[0].split())[:300] if said else type(error).__name__
    return "; ".join([line, *(remedy for words, remedy in _REMEDIES.items() if words in line)])


def reachable(server: PostgresServer, wait_s: float) -> PostgresStore:
    """As soon as it answers.

    Raises:
        PostgresRefused, PostgresGone: not within that time.
    """
    end = time.monotonic() + wait_s
    while True:
        try:
            return PostgresStore(server)
        except PostgresGone:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
