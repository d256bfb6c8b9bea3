"""From SQLite to PostgreSQL and back: nothing lost or doubled, also when the program is killed in the middle."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.keys import moving, outbox, server_file
from gateway.keys.ledger import write
from gateway.keys.opening import remote
from gateway.keys.store import KeyStore
from gateway.keys.stored import StoreError, Terms
from tests.gateway.keys.postgreses import Postgres, server

DAY = "2026-11-30"
EVER = ("0001-01-01", "9999-12-31")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KeyStore]:
    with closing(KeyStore(tmp_path / "store")) as found:
        found.create("alice", Terms(requests_per_minute=5))
        found.create("gone", Terms())
        found.revoke("gone")
        write(found.connection, {DAY: {("alice", "m", True): [3, 30, 3, 9]}}, {"alice": 7.0})
        yield found


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "SEEN_S", 0.0)


def killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_p243_there_and_back_is_as_before(store: KeyStore, postgres: Postgres) -> None:
    before, lines = store.keys(), store.report(["day", "key", "model"], *EVER)
    there = server(postgres.database())
    moved = moving.to_server(store.path, there, make=True)
    assert (moved.keys, moved.requests) == (2, 3)
    with closing(remote(there)) as found:
        assert found.keys() == before
        assert found.report(["day", "key", "model"], *EVER) == lines
    with pytest.raises(StoreError, match="are at 127.0.0.1:.* already"):
        moving.to_server(store.path, there, make=True)
    back = moving.to_sqlite(store.path)
    assert (back.keys, back.requests) == (2, 3)
    assert (store.keys(), store.report(["day", "key", "model"], *EVER)) == (before, lines)
    with pytest.raises(StoreError, match="on this box already"):
        moving.to_sqlite(store.path)


def test_p243_a_kill_before_the_file_is_named_is_made_good_by_join(
    store: KeyStore, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = server(postgres.database())
    with monkeypatch.context() as patched:
        patched.setattr(server_file, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            moving.to_server(store.path, there, make=True)
    with pytest.raises(StoreError, match="has a store with 2 keys already; to have it in common: fullbatch store join"):
        moving.to_server(store.path, there, make=True)
    assert moving.to_server(store.path, there, make=False).requests == 3


@pytest.mark.parametrize("step", ["mirror", "take_back"])
def test_p243_a_kill_on_the_way_back_is_made_good_by_the_same_again(
    store: KeyStore, postgres: Postgres, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    moving.to_server(store.path, server(postgres.database()), make=True)
    with monkeypatch.context() as patched:
        patched.setattr(outbox, step, killed)
        with pytest.raises(KeyboardInterrupt):
            moving.to_sqlite(store.path)
    write(store.connection, {DAY: {("alice", "m", True): [1, 1, 1, 1]}}, {})  # used between the two
    moving.to_sqlite(store.path)
    assert [(line.name, line.requests) for line in store.report(["key"], *EVER)] == [("alice", 4)]


def test_p243_another_key_of_the_same_name_is_refused_and_nothing_moves(
    store: KeyStore, tmp_path: Path, postgres: Postgres
) -> None:
    there = server(postgres.database())
    moving.to_server(store.path, there, make=True)
    with closing(KeyStore(tmp_path / "second")) as second:
        second.create("alice", Terms())
        second.create("zoe", Terms())
        with pytest.raises(StoreError, match="'alice': the server has another key of that name"):
            moving.to_server(second.path, there, make=False)
        second.revoke("alice")
        second.delete("alice")
        assert moving.to_server(second.path, there, make=False).keys == 3
