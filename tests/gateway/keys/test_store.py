"""What is in the store's file, and what it refuses."""

from __future__ import annotations

import hashlib
import sqlite3
import stat
import time
from pathlib import Path

import pytest

from gateway.keys.store import KeyStore
from gateway.keys.stored import StoreError, Terms, digest_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store"


def test_p70_the_key_is_nowhere_in_the_file(path: Path) -> None:
    store = KeyStore(path)
    secrets = [store.create("alice", Terms()), store.rotate("alice", 60)]
    store.close()
    content = b"".join(file.read_bytes() for file in path.parent.iterdir())
    for secret in secrets:
        assert secret.encode() not in content
        assert secret.removeprefix("fb-").encode() not in content
        assert hashlib.sha256(secret.encode()).digest() in content


def test_p70_keys_are_long_random_and_never_the_same(path: Path) -> None:
    store = KeyStore(path)
    found = {store.create(f"key-{number}", Terms()) for number in range(50)}
    assert len(found) == 50
    assert all(len(key) == 3 + 32 for key in found)


def test_p70_only_the_owner_can_read_the_file(path: Path) -> None:
    store = KeyStore(path)
    store.create("alice", Terms())
    modes = {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {0o600}
    assert len(list(path.parent.iterdir())) == 3  # what SQLite writes ahead is as private as the file


def test_terms_come_back_as_they_were_given(path: Path) -> None:
    terms = Terms(time.time() + 60, ("a", "b"), 10, 20, 3, 2.5, "batch")
    KeyStore(path).create("alice", terms)
    who = KeyStore(path).get("alice").principal()
    assert KeyStore(path).get("alice").terms == terms
    assert (who.name, who.models, who.weight, who.priority) == ("alice", frozenset({"a", "b"}), 2.5, "batch")
    assert (who.requests_per_minute, who.tokens_per_minute, who.concurrent) == (10, 20, 3)
    assert who.expires == terms.expires


def test_changed_terms_leave_the_secret_as_it_is(path: Path) -> None:
    store = KeyStore(path)
    secret = store.create("alice", Terms())
    store.change("alice", Terms(requests_per_minute=5))
    assert store.get("alice").digest == digest_of(secret)
    assert store.get("alice").terms == Terms(requests_per_minute=5)


def test_a_rotation_keeps_the_old_digest_for_its_grace_only(path: Path) -> None:
    store = KeyStore(path)
    first = store.create("alice", Terms())
    second = store.rotate("alice", 60)
    key = store.get("alice")
    assert (key.digest, key.previous_digest) == (digest_of(second), digest_of(first))
    assert key.previous_until is not None and 58 < key.previous_until - time.time() <= 60
    store.rotate("alice", 0)
    assert store.get("alice").previous_digest is None


@pytest.mark.parametrize("name", ["", "a b", "ä", "-a", "other", "x" * 65, "a/b", 'a"b', "a\nb"])
def test_a_name_that_metrics_or_people_would_stumble_over_is_refused(path: Path, name: str) -> None:
    with pytest.raises(StoreError, match="write a name of letters"):
        KeyStore(path).create(name, Terms())


def test_a_name_is_given_out_once_even_after_revocation(path: Path) -> None:
    store = KeyStore(path)
    store.create("alice", Terms())
    with pytest.raises(StoreError, match="there is a key of that name"):
        store.create("alice", Terms())
    store.revoke("alice")
    with pytest.raises(StoreError, match="usage stays theirs"):
        store.create("alice", Terms())
    with pytest.raises(StoreError, match="is revoked; create another key"):
        store.rotate("alice", 60)


def test_another_programs_database_is_not_touched(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="is a database of another program"):
        KeyStore(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_text("listen: {port: 8080}\n" * 100)
    with pytest.raises(StoreError, match="the key store cannot be used"):
        KeyStore(path)


def test_the_version_changes_with_others_writes_and_not_with_ones_own(path: Path) -> None:
    mine, theirs = KeyStore(path), KeyStore(path)
    before = mine.version()
    mine.create("alice", Terms())
    assert mine.version() == before
    theirs.create("bob", Terms())
    assert mine.version() != before
