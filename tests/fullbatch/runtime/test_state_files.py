"""What is kept of a gateway's folder: whole while it is written to, and put back file by file."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from fullbatch.runtime import state_files
from gateway.keys.ledger import write
from gateway.keys.store import KeyStore
from gateway.keys.stored import Terms


def _names(store: Path) -> list[str]:
    opened = KeyStore(store)
    try:
        return [key.name for key in opened.keys()]
    finally:
        opened.close()


def test_a_store_is_copied_while_a_gateway_has_it_open(tmp_path: Path) -> None:
    opened = KeyStore(tmp_path / "store")
    opened.create("alice", Terms())
    assert (tmp_path / "store-wal").stat().st_size > 0, "she stands in the log only"
    (tmp_path / "api_keys").write_text("fb-1 first\n")
    (tmp_path / "store.unwritten-1.json").write_text("{}")
    (tmp_path / "engine.log").write_text("not kept")
    found = state_files.read(tmp_path)
    opened.close()
    assert sorted(found) == ["api_keys", "store", "store.unwritten-1.json"]
    (tmp_path / "there").mkdir()
    state_files.write(tmp_path / "there", found)
    assert _names(tmp_path / "there" / "store") == ["alice"]
    modes = {name: (tmp_path / "there" / name).stat().st_mode & 0o777 for name in found}
    assert modes == {"api_keys": 0o640, "store": 0o600, "store.unwritten-1.json": 0o600}


def test_the_log_of_the_store_that_goes_is_not_played_into_the_one_that_comes(tmp_path: Path) -> None:
    kept = KeyStore(tmp_path / "store")
    kept.create("alice", Terms())
    kept.close()
    before = state_files.read(tmp_path)
    copy = sqlite3.connect(tmp_path / "store")
    copy.execute("PRAGMA wal_autocheckpoint = 0")
    copy.execute("DELETE FROM keys")
    copy.commit()
    log = (tmp_path / "store-wal").read_bytes()
    copy.close()
    (tmp_path / "store-wal").write_bytes(log)  # as after a kill
    (tmp_path / "store.part").write_bytes(b"of a kill in the middle")
    state_files.write(tmp_path, before)
    assert _names(tmp_path / "store") == ["alice"]
    assert not (tmp_path / "store.part").exists()


def test_with_a_postgresql_the_way_there_is_kept_and_no_usage(tmp_path: Path) -> None:
    """Usage is there by then, or sent by the gateway that goes on; put back, it would be sent a second time."""
    opened = KeyStore(tmp_path / "store")
    opened.create("alice", Terms())
    write(opened.connection, {"2026-11-30": {("alice", "m", True): [1, 1, 1, 1]}}, {"alice": 1.0})
    opened.connection.execute("INSERT INTO leaving VALUES ('b', x'00')")
    opened.close()
    (tmp_path / "store.unwritten-1.json").write_text("{}")
    before = state_files.read(tmp_path)
    (tmp_path / "store.postgres").write_text("url: postgresql://u:p@localhost/db\n")
    found = state_files.read(tmp_path)
    assert sorted(found) == ["store", "store.postgres"]
    there = tmp_path / "there"
    there.mkdir()
    state_files.write(there, found)
    assert _names(there / "store") == ["alice"]
    with closing(sqlite3.connect(there / "store")) as copy:
        left = [copy.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in state_files.ON_ITS_WAY]
    assert left == [0, 0, 0]
    state_files.write(there, before)  # of when this box was alone
    assert not (there / "store.postgres").exists()


def test_in_a_container_it_runs_as_text(tmp_path: Path) -> None:
    top, other = tmp_path / "kept", tmp_path / "other"
    for folder in (top / "state", top / "secrets", other / "secrets"):
        folder.mkdir(parents=True)
    KeyStore(top / "state" / "store").close()
    (top / "secrets" / "admin_password").write_text("p")
    text = Path(state_files.__file__).read_text()
    command = [sys.executable, "-I", "-c", text]
    tar = subprocess.run([*command, "save", str(top)], capture_output=True, check=True).stdout
    assert sorted(state_files.unpacked(tar)) == ["secrets/admin_password", "state/store"]
    subprocess.run([*command, "load", str(other)], input=tar, check=True)
    assert (other / "secrets" / "admin_password").read_text() == "p"
    assert not (other / "state").exists(), "a folder that is not there is another container's"


def test_what_is_no_store_is_told(tmp_path: Path) -> None:
    (tmp_path / "store").write_bytes(b"x" * 4096)
    with pytest.raises(sqlite3.DatabaseError):
        state_files.read(tmp_path)


def test_the_houses_own_certificates_are_kept_below_their_folders(tmp_path: Path) -> None:
    (tmp_path / "tls-data/caddy/pki/authorities/local").mkdir(parents=True)
    (tmp_path / "tls-data/caddy/pki/authorities/local/root.key").write_text("k")
    (tmp_path / "tls-data/caddy/certificates").mkdir()
    (tmp_path / "tls-data/caddy/certificates/x").write_text("made anew from the root")
    text, other = Path(state_files.__file__).read_text(), tmp_path / "other"
    (other / "tls-data").mkdir(parents=True)
    command = [sys.executable, "-I", "-c", text]
    tar = subprocess.run([*command, "save", str(tmp_path)], capture_output=True, check=True).stdout
    assert list(state_files.unpacked(tar)) == ["tls-data/caddy/pki/authorities/local/root.key"]
    subprocess.run([*command, "load", str(other)], input=tar, check=True)
    made = other / "tls-data/caddy/pki/authorities/local/root.key"
    assert made.read_text() == "k" and made.stat().st_mode & 0o777 == 0o600
