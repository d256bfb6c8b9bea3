"""The store in a real PostgreSQL: the rules are those of SQLite, each batch is added once, strangers are refused."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from gateway.keys.ledger import MOST
from gateway.keys.postgres import VERSION, PostgresGone, PostgresStore
from gateway.keys.server_file import PostgresRefused
from gateway.keys.store import KeyTaken
from gateway.keys.stored import StoreError, Terms, digest_of
from tests.gateway.keys.postgreses import PASSWORD, Postgres, server

EVER = ("0001-01-01", "9999-12-31")


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.database()


@pytest.fixture
def store(url: str) -> Iterator[PostgresStore]:
    with closing(PostgresStore(server(url), make=True)) as found:
        yield found


def test_p243_a_key_is_made_changed_rotated_revoked_and_deleted(store: PostgresStore) -> None:
    terms = Terms(4e9, ("a", "b"), 1, 2, 3, 0.5, "batch", 7, 8, False, True)
    key = store.create("alice", terms)
    store.create("Bob", Terms())
    assert [(one.name, one.terms) for one in store.keys()] == [("Bob", Terms()), ("alice", terms)]
    assert store.get("alice").digest == digest_of(key)
    with pytest.raises(StoreError, match="there is a key of that name"):
        store.create("alice", Terms())
    store.change("alice", Terms(weight=3.0))
    newer = store.rotate("alice", 60)
    found = store.get("alice")
    assert (found.terms.weight, found.digest, found.previous_digest) == (3.0, digest_of(newer), digest_of(key))
    store.add("b1", {"2026-01-01": {("alice", "m", True): [1, 2, 3, 4]}}, {"alice": 5.0, "nobody": 6.0})
    assert store.get("alice").last_used == 5.0
    store.revoke("alice")
    store.delete("alice")
    with pytest.raises(StoreError, match="holds the usage of a deleted key"):
        store.create("alice", Terms())


def test_p243_changes_counts_whoever_changes_a_key(store: PostgresStore, url: str, postgres: Postgres) -> None:
    store.create("alice", Terms())
    before = store.changes()
    store.add("b", {"2026-01-01": {("alice", "m", True): [1, 1, 1, 1]}}, {"alice": 1.0})
    assert store.changes() == before
    postgres.sql("UPDATE fullbatch.keys SET revoked = 1", url)
    assert store.changes() == before + 1


def test_p244_a_batch_is_added_once_and_forgotten_when_it_was_heard(store: PostgresStore) -> None:
    days = {"2026-01-01": {("k", "m", True): [1, 10, 2, 3], ("k", "m", False): [1, 1, 0, 1]}}
    for batch in ("one", "one", "two"):
        store.add(batch, days, {})
    (line,) = store.report(["key"], *EVER)
    assert (line.requests, line.prompt_tokens, line.estimated) == (4, 22, 2)
    store.add("three", {}, {}, ["one", "two"])
    assert store.batches() == {"three"}
    store.add("large", {"2026-01-02": {("k\0", "m", True): [MOST * 2] * 4}}, {})
    assert store.report(["day", "key"], *EVER)[1].requests == MOST
    assert store.report([], "1999-01-01", "1999-01-01") == []


def test_p244_many_at_once_add_up(store: PostgresStore, url: str) -> None:
    def one(number: int) -> None:
        mine = PostgresStore(server(url))
        for turn in range(20):
            rows = {(f"k{(key + number) % 5}", "m", True): [1, 1, 1, 1] for key in range(5)}
            mine.add(f"{number}-{turn}", {"2026-01-01": rows}, {})
        mine.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(one, range(6)))
    assert [line.requests for line in store.report(["key"], *EVER)] == [120] * 5


def test_p243_what_is_not_ours_is_refused_by_name(store: PostgresStore, url: str, postgres: Postgres) -> None:
    def refused(url: str, store_id: str = "", **more: bool) -> str:
        with pytest.raises(PostgresRefused) as error:
            PostgresStore(server(url, store_id), **more)
        assert "\n" not in str(error.value)
        assert PASSWORD not in str(error.value)
        return str(error.value)

    where = server(url).where
    empty = postgres.database()
    assert "holds no store; make one with: fullbatch store to-postgres" in refused(empty)
    postgres.sql("CREATE SCHEMA fullbatch; CREATE TABLE fullbatch.mine (a int)", empty)
    assert "has a schema 'fullbatch' of another program" in refused(empty, make=True)
    half = postgres.database()
    postgres.sql("CREATE SCHEMA fullbatch; CREATE TABLE fullbatch.about (a int)", half)
    postgres.sql("CREATE TABLE fullbatch.keys (a int); CREATE TABLE fullbatch.usage (a int)", half)
    postgres.sql("CREATE TABLE fullbatch.batches (a int)", half)
    assert "of another program" in refused(half)
    assert refused(url, "f" * 32).startswith(f"{where}: holds the store of another deployment ({store.id[:8]}, ")
    assert "password authentication failed" in refused(url.replace(PASSWORD, "wrong-password"))
    assert "does not exist" in refused(url.rpartition("/")[0] + "/nowhere")
    assert "SSL" in refused(url + "?sslmode=require")
    postgres.sql("CREATE ROLE guest LOGIN PASSWORD 'guest'")
    assert "permission denied" in refused(url.replace(f"owner:{PASSWORD}", "guest:guest"))
    postgres.sql("UPDATE fullbatch.about SET version = 99", url)
    PostgresStore(server(url)).close()  # a later version that earlier programs can work with
    postgres.sql("UPDATE fullbatch.about SET oldest = 99", url)
    assert refused(url) == f"{where}: is a store of version 99, and this program knows {VERSION}; update this one"
    postgres.sql("UPDATE fullbatch.about SET oldest = 1", url)
    store.finish()
    assert "was moved back to one box on" in refused(url)
    with pytest.raises(PostgresRefused):
        store.add("late", {"2026-01-01": {("k", "m", True): [1, 1, 1, 1]}}, {})


def test_p243_one_that_does_not_answer_may_be_tried_again() -> None:
    began = time.monotonic()
    with pytest.raises(PostgresGone, match="refused"):
        PostgresStore(server("postgresql://u:p@127.0.0.1:1/db"))
    assert time.monotonic() - began < 10


def test_p243_two_that_make_it_at_once_make_one(postgres: Postgres) -> None:
    url = postgres.database()
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: PostgresStore(server(url), make=True), range(4)))
    ids = [one.id for one in made]
    for one in made:
        one.close()
    assert len(set(ids)) == 1


def test_p243_keys_are_put_all_or_none(store: PostgresStore) -> None:
    store.create("alice", Terms())
    alice = store.get("alice")
    with pytest.raises(KeyTaken):
        store.put([alice])
    assert len(store.keys()) == 1
