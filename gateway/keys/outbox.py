"""What a gateway with a PostgreSQL has in its local store: a copy of the keys, and the usage that is not yet there.

Usage leaves in batches. A batch is taken out of the sums and kept under an id of its own in one transaction, and
dropped once the server has it; the server takes each id once. So a kill, or an answer that is lost, loses and doubles
nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from gateway.keys import spill
from gateway.keys.ledger import Tally, write
from gateway.keys.stored import IDENTITY, TERMS, StoredKey

if TYPE_CHECKING:  # a driver that only few gateways need
    from gateway.keys.postgres import PostgresStore


def forward(local: sqlite3.Connection, server: PostgresStore, heard: list[str]) -> None:
    """Send all that has gathered. ``heard``: batches that are dropped here and that the server may forget.

    Raises:
        PostgresGone: it does not answer; what waits goes on waiting. sqlite3.Error.
    """
    _send(local, server, heard)
    if _pack(local):
        _send(local, server, heard)


def waiting(local: sqlite3.Connection) -> int:
    """Requests whose usage is not yet at the server."""
    (sums,) = local.execute("SELECT coalesce(sum(requests), 0) FROM usage").fetchone()
    batches = [spill.parsed(row[0])[1] for row in local.execute("SELECT content FROM leaving")]
    return int(sums) + sum(numbers[0] for days in batches for tally in days.values() for numbers in tally.values())


def mirror(local: sqlite3.Connection, keys: Sequence[StoredKey]) -> None:
    """The keys of the server are the keys here.

    Raises:
        sqlite3.Error: nothing has changed.
    """
    columns = (*IDENTITY, *TERMS)
    sql = f"INSERT INTO keys ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    rows = [(*(getattr(key, name) for name in IDENTITY), *key.terms.row()) for key in keys]
    _begin(local)
    try:
        local.execute("DELETE FROM keys")
        local.executemany(sql, rows)
        local.execute("COMMIT")
    finally:
        _undo(local)


def take_back(local: sqlite3.Connection, there: Collection[str]) -> None:
    """Batches that the server never took (``there`` are those it did) are sums of here again."""
    for batch, content in local.execute("SELECT id, content FROM leaving").fetchall():
        _, days, used = spill.parsed(content)
        if batch not in there:
            write(local, days, used, batch)
        local.execute("DELETE FROM leaving WHERE id = ?", (batch,))


def _send(local: sqlite3.Connection, server: PostgresStore, heard: list[str]) -> None:
    for batch, content in local.execute("SELECT id, content FROM leaving").fetchall():
        _, days, used = spill.parsed(content)
        server.add(batch, days, used, heard)
        heard.clear()
        local.execute("DELETE FROM leaving WHERE id = ?", (batch,))
        heard.append(batch)


def _pack(local: sqlite3.Connection) -> bool:
    """Take what has gathered out of the sums; whether there was any."""
    if local.execute("SELECT 1 FROM usage LIMIT 1").fetchone() is None:
        return False
    days: dict[str, Tally] = {}
    _begin(local)
    try:
        for day, key, model, exact, *sums in local.execute("SELECT * FROM usage"):
            days.setdefault(day, {})[(key, model, bool(exact))] = sums
        used = dict(local.execute("SELECT name, at FROM last_used").fetchall())
        content = spill.content_of(days, used)
        local.execute("INSERT INTO leaving (id, content) VALUES (?, ?)", (spill.parsed(content)[0], content))
        local.execute("DELETE FROM usage")
        local.execute("DELETE FROM last_used")
        local.execute("COMMIT")
    finally:
        _undo(local)
    return bool(days)


def _begin(local: sqlite3.Connection) -> None:
    local.execute("BEGIN IMMEDIATE")


def _undo(local: sqlite3.Connection) -> None:
    if local.in_transaction:
        local.execute("ROLLBACK")
