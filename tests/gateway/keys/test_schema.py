"""Stores of earlier and later versions: what becomes of them, and what a kill or another program in the middle does."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.keys import schema
from gateway.keys.store import KeyStore
from gateway.keys.stored import TERMS, StoreError, Terms
from tests.gateway.harness import KEY, ROOT, Engine, Gateway, chat, keys, run, used, wait_until, write_config

# As the code wrote it before: four keys (one with every term, rotated, revoked, expired) and usage of two days.
VERSION_0 = ROOT / "tests" / "fixtures" / "store_version_0.sqlite"
NEWER = schema.VERSION + 1
_KEYS = "SELECT name, digest, previous_digest, expires, revoked, models, weight, priority FROM keys ORDER BY name"
_USAGE = "SELECT * FROM usage ORDER BY day, key, exact"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    shutil.copy(VERSION_0, path)
    path.chmod(0o600)
    return path


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def version(path: Path) -> int:
    found: int = rows(path, "PRAGMA user_version")[0][0]
    return found


def make_newer(path: Path) -> None:
    KeyStore(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {NEWER}")


def test_p160_a_store_of_before_is_brought_up_to_date_and_a_copy_of_it_stays(old: Path) -> None:
    before = rows(old, _KEYS), rows(old, _USAGE)
    assert version(old) == 0
    assert len(before[0]) == 4
    assert len(before[1]) == 3
    store = KeyStore(old)
    alice = store.get("alice")
    assert alice.terms == Terms(4102444800.0, ("tiny", "other"), 10, 2000, 3, 2.5, "interactive")
    assert alice.digest == hashlib.sha256(b"fb-fixture-alice").digest()
    assert [key.state(1_763_900_000) for key in store.keys()] == ["active", "active", "revoked", "expired"]
    store.close()
    copy = schema.kept(old, 0)
    assert (version(old), version(copy)) == (schema.VERSION, 0)
    assert (rows(old, _KEYS), rows(old, _USAGE)) == (rows(copy, _KEYS), rows(copy, _USAGE)) == before
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert sorted(path.name for path in old.parent.iterdir()) == ["store", copy.name]


def test_p160_a_new_store_is_of_todays_version_and_needs_no_copy(tmp_path: Path) -> None:
    KeyStore(tmp_path / "store").close()
    assert version(tmp_path / "store") == schema.VERSION
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_p160_a_store_is_migrated_once(old: Path) -> None:
    KeyStore(old).close()
    schema.kept(old, 0).unlink()
    KeyStore(old).close()
    assert not schema.kept(old, 0).exists()


def test_p160_new_and_migrated_stores_have_the_same_tables(old: Path, tmp_path: Path) -> None:
    fresh = tmp_path / "fresh"
    KeyStore(fresh).close()
    KeyStore(old).close()
    names = {row[0] for row in rows(fresh, "SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert names == {row[0] for row in rows(old, "SELECT name FROM sqlite_master WHERE type = 'table'")}
    for name in names:
        assert rows(fresh, f"PRAGMA table_info({name})") == rows(old, f"PRAGMA table_info({name})")
    assert set(TERMS) < {row[1] for row in rows(fresh, "PRAGMA table_info(keys)")}


def test_p160_the_running_gateway_and_its_programs_take_a_store_of_before(
    start_gateway: Callable[..., Gateway], engine: Engine, old: Path
) -> None:
    gateway = start_gateway([engine.url], store=str(old))
    gateway.wait_up()
    assert gateway.stderr().count(f"{old}: now of version {schema.VERSION}; as it was: {schema.kept(old, 0)}") == 1
    with gateway.client() as client:
        mine = {"authorization": "Bearer fb-fixture-alice"}
        assert client.post("/v1/chat/completions", json=chat(max_tokens=2), headers=mine).status_code == 200
    wait_until(lambda: {"alice": 7} == {line["key"]: line["requests"] for line in used(old)[:1]}, 5, "added to hers")
    assert [key["name"] for key in keys(old, "list")] == ["alice", "bob", "carol", "dave"]


def test_p160_a_store_of_a_later_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store"
    make_newer(path)
    before = path.read_bytes()
    with pytest.raises(StoreError) as error:
        KeyStore(path)
    assert str(error.value) == (
        f"{path}: is a key store of version {NEWER}, and this program knows {schema.VERSION}; update it, or go back to "
        f"the copy that was made before (FILE.version-{schema.VERSION})"
    )
    assert path.read_bytes() == before


def test_p160_every_program_refuses_a_later_version_with_one_line(tmp_path: Path) -> None:
    path = tmp_path / "store"
    make_newer(path)
    config = write_config(tmp_path, ["http://127.0.0.1:9"], store=str(path))
    for words in (
        ("gateway.keys", "--store", str(path), "list"),
        ("gateway.usage", "--store", str(path)),
        ("gateway", "--config", str(config)),
    ):
        result = run(*words)
        assert result.returncode == 2
        assert result.stderr.count("\n") == 1
        assert f"is a key store of version {NEWER}" in result.stderr
        assert KEY not in result.stderr


OPEN = """
import sys, time
from pathlib import Path
from gateway.keys.store import KeyStore
time.sleep(max(0.0, float(sys.argv[2]) - time.time()))
print(len(KeyStore(Path(sys.argv[1])).keys()))
"""


def open_at_once(path: Path, programs: int) -> list[tuple[str, str]]:
    at = str(time.time() + 1.5)
    started = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, str(path), at],
            cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(programs)
    ]  # fmt: skip
    return [process.communicate(timeout=60) for process in started]


def test_p160_many_programs_may_open_a_store_of_before_at_once(old: Path) -> None:
    said = open_at_once(old, 6)
    assert [out for out, _ in said] == ["4\n"] * 6, said
    assert sum("now of version" in err for _, err in said) == 1
    assert version(schema.kept(old, 0)) == 0
    assert len(rows(schema.kept(old, 0), _KEYS)) == 4


def test_p160_many_programs_may_make_a_store_at_once(tmp_path: Path) -> None:
    said = open_at_once(tmp_path / "store", 6)
    assert said == [("0\n", "")] * 6
    assert version(tmp_path / "store") == schema.VERSION


def test_p160_a_store_that_another_program_makes_at_this_moment_is_no_strangers(tmp_path: Path) -> None:
    path = tmp_path / "store"

    def another(statement: str) -> None:
        if statement == "PRAGMA user_version":
            with contextlib.suppress(sqlite3.OperationalError), closing(sqlite3.connect(path, timeout=0)) as other:
                other.executescript(
                    f"BEGIN IMMEDIATE; CREATE TABLE t (x); PRAGMA application_id = {schema.APPLICATION_ID};"
                    f" PRAGMA user_version = {schema.VERSION}; COMMIT;"
                )

    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.set_trace_callback(another)
        schema.prepare(connection, path)
    assert version(path) == schema.VERSION


KILLED = """
import os, signal, sqlite3, sys
from pathlib import Path
from gateway.keys import schema
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.create_function("die", 0, lambda: os.kill(os.getpid(), signal.SIGKILL))
schema.prepare(connection, Path(sys.argv[1]), (*schema.STEPS, "DELETE FROM usage; SELECT die();"))
"""


def test_p160_a_kill_in_the_middle_leaves_the_store_as_it_was(old: Path) -> None:
    before = rows(old, _KEYS), rows(old, _USAGE)
    ended = subprocess.run([sys.executable, "-c", KILLED, str(old)], cwd=ROOT, timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert version(old) == 0
    assert (rows(old, _KEYS), rows(old, _USAGE)) == before
    KeyStore(old).close()
    assert (rows(old, _KEYS), rows(old, _USAGE)) == before
    assert version(old) == schema.VERSION


@pytest.mark.parametrize(
    "steps", [("CREATE TABLE keys (x) STRICT;",), ("ALTER TABLE keys ADD COLUMN a TEXT; nonsense;",)]
)
def test_p160_a_step_that_fails_leaves_the_store_as_it_was(old: Path, steps: tuple[str, ...]) -> None:
    columns = rows(old, "PRAGMA table_info(keys)")
    with closing(sqlite3.connect(old, isolation_level=None)) as connection, pytest.raises(sqlite3.Error):
        schema.prepare(connection, old, steps)
    assert version(old) == 0
    assert rows(old, "PRAGMA table_info(keys)") == columns


FULL = """
import resource, sys
from pathlib import Path
from gateway.keys.store import KeyStore
from gateway.keys.stored import StoreError
resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, 65_536))
try:
    KeyStore(Path(sys.argv[1]))
except StoreError as error:
    print(error)
"""


def test_p160_without_room_for_the_copy_the_store_is_not_touched(old: Path) -> None:
    with closing(sqlite3.connect(old)) as connection, connection:
        connection.executemany(
            "INSERT INTO usage VALUES (?, 'key', 'model', 1, 1, 1, 1, 1)", ((str(day),) for day in range(10_000))
        )
    before = old.read_bytes()
    assert len(before) > 200_000
    ended = subprocess.run([sys.executable, "-c", FULL, str(old)], cwd=ROOT, timeout=60, capture_output=True, text=True)
    assert ended.stdout.startswith(f"{old}: "), ended.stderr
    assert ended.stdout.count("\n") == 1
    assert old.read_bytes() == before
    assert [path.name for path in old.parent.iterdir()] == ["store"]
