"""Usage on its way: a kill between any two steps, and an answer that is lost, lose and double nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from gateway.keys import outbox
from gateway.keys.ledger import Tally, write
from gateway.keys.postgres import PostgresGone, PostgresStore
from gateway.keys.store import KeyStore
from gateway.keys.stored import Terms

DAY = "2026-11-30"


class Remote:
    """Takes each batch once. ``answers``: what becomes of the next calls; 'lost': added, and nobody hears of it."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.taken: dict[str, dict[str, Tally]] = {}

    def add(self, batch: str, days: dict[str, Tally], used: dict[str, float], heard: Sequence[str] = ()) -> None:  # noqa: ARG002
        answer = self.answers.pop(0) if self.answers else "good"
        if answer != "gone":
            self.taken.setdefault(batch, days)
        if answer != "good":
            raise PostgresGone(answer)

    @property
    def requests(self) -> int:
        return sum(sums[0] for days in self.taken.values() for tally in days.values() for sums in tally.values())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KeyStore]:
    with closing(KeyStore(tmp_path / "store")) as found:
        yield found


def use(store: KeyStore, requests: int) -> None:
    write(store.connection, {DAY: {("alice", "m", True): [requests, 1, 1, 1]}}, {})


def forward(store: KeyStore, remote: Remote, heard: list[str]) -> None:
    outbox.forward(store.connection, cast(PostgresStore, remote), heard)


@pytest.mark.parametrize("fault", ["gone", "lost"])
def test_p244_what_was_not_heard_is_sent_again_and_counts_once(store: KeyStore, fault: str) -> None:
    remote, heard = Remote(fault, fault), list[str]()
    use(store, 2)
    for _ in range(2):
        with pytest.raises(PostgresGone):
            forward(store, remote, heard)
        use(store, 1)  # goes on meanwhile
    assert outbox.waiting(store.connection) == 4
    forward(store, remote, heard)
    assert (remote.requests, outbox.waiting(store.connection)) == (4, 0)
    assert len(heard) <= 2


def test_p244_packing_is_whole_or_not_at_all(store: KeyStore, tmp_path: Path) -> None:
    use(store, 3)
    with closing(sqlite3.connect(tmp_path / "store", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            forward(store, Remote(), [])
        other.execute("ROLLBACK")
    assert outbox.waiting(store.connection) == 3


def test_p244_what_the_server_never_took_comes_back(store: KeyStore) -> None:
    for fault, there in (("gone", False), ("lost", True)):
        use(store, 1)
        remote = Remote(fault)
        with pytest.raises(PostgresGone):
            forward(store, remote, [])
        outbox.take_back(store.connection, remote.taken)
        assert outbox.waiting(store.connection) == (0 if there else 1)
        forward(store, Remote(), [])


def test_p243_the_servers_keys_take_the_place_of_those_here(store: KeyStore, tmp_path: Path) -> None:
    with closing(KeyStore(tmp_path / "other")) as other:
        terms = Terms(4e9, ("a",), 1, 2, 3, 0.5, "batch", 7, 8, False, True)
        other.create("alice", terms)
        other.create("bob", Terms())
        other.revoke("bob")
        store.create("carol", Terms())
        outbox.mirror(store.connection, other.keys())
        assert store.keys() == other.keys()
