"""Tokens by day, key and model: gathered here in memory, written by `bookkeeper`, reported by `usage`."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.call import Usage

# By key, model, and whether the engine itself has counted: requests, prompt, cached prompt and completion tokens.
Where = tuple[str, str, bool]
Tally = dict[Where, list[int]]

GROUPS = {"key": "key", "model": "model", "day": "day"}
SEPARATOR = "\x1f"
_DAY_S = 86_400


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
class Line:
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


def write(connection: sqlite3.Connection, days: dict[str, Tally], used: dict[str, float]) -> None:
    """One transaction. ``used``: when keys of the store were last used; Unix time.

    Raises:
        sqlite3.Error: nothing is written.
    """
    rows = [(day, *where, *sums) for day, tally in days.items() for where, sums in tally.items()]
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.executemany(
            "INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " requests = requests + excluded.requests, prompt_tokens = prompt_tokens + excluded.prompt_tokens,"
            " cached_tokens = cached_tokens + excluded.cached_tokens,"
            " completion_tokens = completion_tokens + excluded.completion_tokens",
            rows,
        )
        connection.executemany(
            "INSERT INTO last_used SELECT name, ? FROM keys WHERE name = ? ON CONFLICT DO UPDATE SET at = excluded.at",
            [(at, name) for name, at in used.items()],
        )
        connection.execute("COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def merge(into: Tally, more: Tally) -> None:
    """Add one tally to another."""
    for where, sums in more.items():
        have = into.setdefault(where, [0] * len(sums))
        have[:] = [a + b for a, b in zip(have, sums, strict=True)]


def report(connection: sqlite3.Connection, by: Iterable[str], since: str, until: str) -> list[Line]:
    """Sums by key, model or day, or several of them; ``since`` and ``until`` are days, both included."""
    columns = [GROUPS[name] for name in by]
    name = " || char(31) || ".join(columns) or "'all'"
    found = connection.execute(
        f"SELECT {name}, sum(requests), sum(prompt_tokens), sum(cached_tokens), sum(completion_tokens),"
        " sum(CASE WHEN exact THEN 0 ELSE requests END) FROM usage WHERE day BETWEEN ? AND ? GROUP BY 1 ORDER BY 1",
        (since, until),
    )
    return [Line(*row) for row in found]
