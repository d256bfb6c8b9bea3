"""Usage kept beside the store: added once, whoever adds it, and never half."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from pathlib import Path

import pytest

from gateway.keys import spill
from gateway.keys.ledger import MOST, Tally, UsageLine, write
from gateway.keys.store import KeyStore
from gateway.keys.stored import Terms

DAYS: dict[str, Tally] = {
    "2026-11-29": {("alice", "tiny", True): [2, 30, 10, 40], ("alice", "tiny", False): [1, 5, 0, 6]},
    "2026-11-30": {("bob", "tiny", True): [1, 1, 1, 1]},
}
SUMS = [UsageLine("alice", 3, 35, 10, 46, 1), UsageLine("bob", 1, 1, 1, 1, 0)]


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    return KeyStore(tmp_path / "store")


def kept(store: KeyStore, used: dict[str, float] | None = None) -> Path:
    path = spill.file_for(store.path)
    spill.keep(path, spill.content_of(DAYS, used or {}))
    return path


def sums(store: KeyStore) -> list[UsageLine]:
    return store.report(["key"], "2026-01-01", "2026-12-31")


def test_p161_a_file_is_added_and_taken_away(store: KeyStore) -> None:
    path = kept(store)
    assert path.stat().st_mode & 0o777 == 0o600
    assert spill.add_all(store.connection, store.path) == ([path], [])
    assert sums(store) == SUMS
    assert not path.exists()
    assert spill.add_all(store.connection, store.path) == ([], [])


def test_p161_a_kill_before_the_file_is_taken_away_adds_nothing_twice(store: KeyStore, tmp_path: Path) -> None:
    path = kept(store)
    copy = shutil.copy(path, tmp_path / "copy")
    spill.add_all(store.connection, store.path)
    shutil.copy(copy, path)
    spill.add_all(store.connection, store.path)
    assert sums(store) == SUMS
    assert not path.exists()


def test_p161_two_programs_at_once_add_it_once(store: KeyStore) -> None:
    for _ in range(20):
        kept(store)

    def add() -> None:
        mine = KeyStore(store.path, 10.0)
        spill.add_all(mine.connection, mine.path)
        mine.close()

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [line.requests for line in sums(store)] == [60, 20]


def test_p161_a_locked_store_leaves_the_file(store: KeyStore) -> None:
    path = kept(store)
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError):
        spill.add_all(store.connection, store.path)
    other.execute("ROLLBACK")
    other.close()
    assert path.exists()
    assert spill.add_all(store.connection, store.path) == ([path], [])


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"{}", b"[1]", b'{"id": "x", "days": {"d": [["a"]]}, "used": {}}']
)
def test_p161_a_file_of_something_else_is_left_and_holds_up_no_other(store: KeyStore, content: bytes) -> None:
    foreign = store.path.with_name("store.unwritten-0.json")
    foreign.write_bytes(content)
    path = kept(store)
    assert spill.add_all(store.connection, store.path) == ([path], [foreign])
    assert foreign.read_bytes() == content
    assert sums(store) == SUMS


def test_p161_a_file_is_there_whole_or_not_at_all(store: KeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space left"):
        kept(store)
    assert list(store.path.parent.glob("store.unwritten-*")) == []


def test_p161_last_use_of_before_is_not_newer_than_what_is_known(store: KeyStore) -> None:
    store.create("alice", Terms())
    store.create("bob", Terms())
    write(store.connection, {}, {"alice": 2000.0})
    kept(store, {"alice": 1000.0, "bob": 1000.0, "nobody": 1.0})
    spill.add_all(store.connection, store.path)
    assert [key.last_used for key in store.keys()] == [2000.0, 1000.0]


def test_p161_some_of_the_disk_is_held_back_and_given(store: KeyStore) -> None:
    spill.make_room(store.path)
    spill.make_room(store.path)
    (room,) = store.path.parent.glob("store.room")
    assert room.stat().st_size == spill.ROOM_BYTES
    assert room.stat().st_blocks * 512 >= spill.ROOM_BYTES
    spill.give_room(store.path)
    spill.give_room(store.path)
    assert not room.exists()


def test_p80_a_count_beyond_all_sense_holds_up_no_other(store: KeyStore) -> None:
    huge = 10**30
    for _ in range(3):
        write(
            store.connection, {"2026-11-30": {("a", "m", True): [1, huge, huge, huge], ("b", "m", True): [1] * 4}}, {}
        )
    assert sums(store) == [UsageLine("a", 3, MOST, MOST, MOST, 0), UsageLine("b", 3, 3, 3, 3, 0)]
