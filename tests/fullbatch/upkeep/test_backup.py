"""Backup and restore of a checkout, with keys in real stores and folders in the place of volumes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from fullbatch.core.errors import HostError, StateError, UsageError
from fullbatch.runtime import registry
from fullbatch.runtime.base import RunningDeployment
from fullbatch.runtime.process.runtime import ProcessRunning, ProcessRuntime
from fullbatch.upkeep import archive, backup, kept, recovery
from gateway.keys.schema import VERSION
from gateway.keys.store import KeyStore
from gateway.keys.stored import Terms
from tests.fullbatch.upkeep.killed import KILLED, die, runs


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with one profile that has run as processes and left keys."""
    monkeypatch.setattr(registry, "RUNTIMES", (ProcessRuntime(),))
    monkeypatch.setattr(ProcessRuntime, "store_version", lambda *_: VERSION)
    root = tmp_path / "checkout"
    for name, text in {
        ".env": "PROFILE=mine\nHF_TOKEN=secret\n",
        "profiles/mine.yaml": "model: a\n",
        "rendered/mine/compose.yaml": "services: {}\n",
        "README.md": "not kept\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / ".env").chmod(0o600)
    folder = root / ".fullbatch/run/mine"
    folder.mkdir(parents=True)
    (folder / "api_keys").write_text("fb-1 first\n")
    with_key(root, "alice")
    return root


def with_key(root: Path, name: str) -> None:
    store = KeyStore(root / ".fullbatch/run/mine/store")
    store.create(name, Terms())
    store.close()


def keys(root: Path) -> list[str]:
    store = KeyStore(root / ".fullbatch/run/mine/store")
    found = [key.name for key in store.keys()]
    store.close()
    return found


def say(_line: str) -> None:
    pass


def test_all_that_a_person_would_miss_comes_back(root: Path, tmp_path: Path) -> None:
    made = backup.command(root, tmp_path / "b.tar.gz")
    assert sorted(made.files()) == [".env", "profiles/mine.yaml", "rendered/mine/compose.yaml"]
    assert made.stores() == {"process/mine/store": VERSION}
    with_key(root, "bob")
    (root / "profiles/mine.yaml").write_text("model: broken\n")
    (root / ".env").write_text("")
    shutil.rmtree(root / "rendered")
    (root / "profiles/new.yaml").write_text("model: b\n")
    backup.restore(root, tmp_path / "b.tar.gz", say)
    assert keys(root) == ["alice"]
    assert (root / "profiles/mine.yaml").read_text() == "model: a\n"
    assert (root / ".env").read_text() == "PROFILE=mine\nHF_TOKEN=secret\n"
    assert (root / "rendered/mine/compose.yaml").read_text() == "services: {}\n"
    assert (root / "profiles/new.yaml").exists(), "what has come since stays"
    assert (root / ".env").stat().st_mode & 0o777 == 0o600
    (before,) = kept.listed(root)
    assert archive.read(before).files()["profiles/mine.yaml"] == b"model: broken\n", "what was there is kept"


def test_on_another_machine(root: Path, tmp_path: Path) -> None:
    backup.command(root, tmp_path / "b.tar.gz")
    other = tmp_path / "other"
    other.mkdir()
    backup.restore(other, tmp_path / "b.tar.gz", say)
    assert keys(other) == ["alice"]
    assert (other / ".env").stat().st_mode & 0o777 == 0o600
    assert (other / ".fullbatch/run/mine/api_keys").read_text() == "fb-1 first\n"


def test_the_last_three_are_kept_and_a_named_one_for_ever(root: Path, tmp_path: Path) -> None:
    backup.command(root, tmp_path / "mine.tar.gz")
    made = [backup.command(root, None).path for _ in range(4)]
    assert kept.listed(root) == made[:0:-1] and (tmp_path / "mine.tar.gz").exists()


def test_mistakes_are_told_before_anything_changes(root: Path, tmp_path: Path) -> None:
    backup.command(root, tmp_path / "b.tar.gz")
    with pytest.raises(UsageError, match="is there already; give another name"):
        backup.command(root, tmp_path / "b.tar.gz")
    with pytest.raises(UsageError, match="nowhere: is no folder; make it first"):
        backup.command(root, tmp_path / "nowhere" / "b.tar.gz")
    half = tmp_path / "half.tar.gz"
    half.write_bytes((tmp_path / "b.tar.gz").read_bytes()[:400])
    with_key(root, "bob")
    with pytest.raises(UsageError, match="cut off or damaged"):
        backup.restore(root, half, say)
    assert keys(root) == ["alice", "bob"] and kept.listed(root) == []


def test_a_newer_store_is_no_older_gateways(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backup.command(root, tmp_path / "b.tar.gz")
    monkeypatch.setattr(ProcessRuntime, "store_version", lambda *_: VERSION - 1)
    with pytest.raises(
        UsageError, match=f"mine/store is a key store of version {VERSION}, and the gateway here knows {VERSION - 1}"
    ):
        backup.restore(root, tmp_path / "b.tar.gz", say)
    assert kept.listed(root) == []


def test_what_runs_is_not_overwritten(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backup.command(root, tmp_path / "b.tar.gz")

    def running(root: Path) -> Iterator[RunningDeployment]:
        yield ProcessRunning(root, "mine", None)

    monkeypatch.setattr(registry, "running", running)
    with pytest.raises(StateError, match="'mine' is running; first: fullbatch down mine"):
        backup.restore(root, tmp_path / "b.tar.gz", say)
    assert backup.command(root, tmp_path / "c.tar.gz").manifest.profile == "mine"


def test_without_room_nothing_is_begun(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 20))
    with pytest.raises(HostError, match="has 1 MiB free, and a backup needs up to 64; make room"):
        backup.command(root, tmp_path / "b.tar.gz")
    assert not (tmp_path / "b.tar.gz").exists()


@pytest.mark.parametrize("replaced", range(5))
def test_a_restore_that_is_killed_is_finished_by_the_next_command(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replaced: int
) -> None:
    """Killed before the Nth file of it is in its place: two of the checkout, the keys and the store, or none."""
    backup.command(root, tmp_path / "b.tar.gz")
    with_key(root, "bob")
    (root / ".env").write_text("")
    (root / "profiles/mine.yaml").write_text("model: broken\n")
    left = [2 + replaced]  # before them the copy of what is there, and the journal

    def counted(path: Path, target: Path) -> Path:
        left[0] -= 1
        if left[0] < 0:
            die()
        return real(path, target)

    real = Path.replace
    monkeypatch.setattr(Path, "replace", counted)
    code = runs(lambda: backup.restore(root, tmp_path / "b.tar.gz", say))
    monkeypatch.undo()
    monkeypatch.setattr(registry, "RUNTIMES", (ProcessRuntime(),))
    assert code == (KILLED if replaced < 4 else 0)
    recovery.recover(root, say)
    assert keys(root) == ["alice"] and (root / ".env").read_text().startswith("PROFILE=mine")
    assert (root / "profiles/mine.yaml").read_text() == "model: a\n"
    recovery.recover(root, say)
