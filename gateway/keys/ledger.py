"""The usage ledger: tokens by day, key and model. Gathered here, written by `store_sync`, reported by `Store`."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass

from gateway.core.call import Usage

# By key, model, and whether the engine itself has counted: requests, prompt, cached prompt and completion tokens.
Where = tuple[str, str, bool]
Tally = dict[Where, list[int]]

GROUPS = {"key": "key", "model": "model", "day": "day"}
SEPARATOR = "\x1f"
_DAY_S = 86_400
# No sum is higher: what an engine says is not trusted to fit into a column, and one row must not hold up the others.
MOST = 1 << 53
_COUNTS = ("requests", "prompt_tokens", "cached_tokens", "completion_tokens")
_ADD = (
    f"INSERT INTO usage (day, key, model, exact, {', '.join(_COUNTS)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    f" ON CONFLICT DO UPDATE SET {', '.join(f'{name} = min({name} + excluded.{name}, {MOST})' for name in _COUNTS)}"
)
_USED = (
    "INSERT INTO last_used (name, at) SELECT name, ? FROM keys WHERE name = ?"
    " ON CONFLICT DO UPDATE SET at = max(at, excluded.at)"
)


class Ledger:
    """Takes note of what was used. Only ever called from the event loop's thread."""

    def __init__(self) -> None:
        self._tally: Tally = {}

    def add(self, key: str, model: str, usage: Usage) -> None:
        """One request has ended."""
        where = (key, model, usage.exact)
        sums = self._tally.get(where)
        if sums is None:
            self._tally[where] = [1, usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens]
        else:
            sums[0] += 1
            sums[1] += usage.prompt_tokens
            sums[2] += usage.cached_tokens
            sums[3] += usage.completion_tokens

    def take(self) -> Tally:
        """All since the last time."""
        tally, self._tally = self._tally, {}
        return tally


@dataclass(frozen=True, slots=True)
class UsageLine:
    """Sums of a report.

    ``name``: what they are of, with `SEPARATOR` between several. ``estimated``: how many of the requests the gateway
    had to count itself; they are included.
    """

    name: str
    requests: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    estimated: int


def day_of(unix_time: float) -> str:
    """The UTC day, as 2026-11-23."""
    return time.strftime("%Y-%m-%d", time.gmtime(unix_time // _DAY_S * _DAY_S))


def write(
    connection: sqlite3.Connection, days: dict[str, Tally], used: dict[str, float], spilled: str | None = None
) -> None:
    """One transaction. ``used``: when keys of the store were last used; Unix time.

    ``spilled``: the name of these sums; what is in the store under it already is not added again.

    Raises:
        sqlite3.Error: nothing is written.
    """
    rows = [
        (day, *where, *(min(count, MOST) for count in sums))
        for day, tally in days.items()
        for where, sums in tally.items()
    ]
    connection.execute("BEGIN IMMEDIATE")
    try:
        if spilled is None or _first_time(connection, spilled):
            connection.executemany(_ADD, rows)
            connection.executemany(_USED, [(at, name) for name, at in used.items()])
        connection.execute("COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _first_time(connection: sqlite3.Connection, name: str) -> bool:
    found = connection.execute("INSERT OR IGNORE INTO spilled (id, at) VALUES (?, ?)", (name, time.time()))
    return found.rowcount == 1


def merge(into: Tally, more: Tally) -> None:
    """Add one tally to another."""
    for where, sums in more.items():
        have = into.setdefault(where, [0] * len(sums))
        have[:] = [a + b for a, b in zip(have, sums, strict=True)]
