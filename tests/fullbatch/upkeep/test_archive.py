"""A backup's file: whole or not there, its owner's only, and every cut and every wrong byte is seen."""

from __future__ import annotations

import errno
import io
import os
import tarfile
from pathlib import Path

import pytest

from fullbatch.core.errors import HostError, UsageError
from fullbatch.upkeep import archive
from fullbatch.upkeep.archive import Manifest
from gateway.keys.schema import VERSION
from gateway.keys.store import KeyStore

MANIFEST = Manifest("2026-11-30T12:00:00+00:00", "test", "0.1.0", profile="cpu-tiny")
CONTENTS = {"files/.env": b"PROFILE=cpu-tiny\n", "state/process/cpu-tiny/api_keys": os.urandom(20_000)}


@pytest.fixture
def made(tmp_path: Path) -> Path:
    archive.write(tmp_path / "b.tar.gz", MANIFEST, CONTENTS)
    return tmp_path / "b.tar.gz"


def test_it_is_read_as_it_was_written(made: Path) -> None:
    assert made.stat().st_mode & 0o777 == 0o600, "it holds secrets"
    found = archive.read(made)
    assert found.manifest == MANIFEST and dict(found.contents) == CONTENTS
    assert found.files() == {".env": b"PROFILE=cpu-tiny\n"}
    assert list(found.state()) == ["process/cpu-tiny/api_keys"] and found.stores() == {}


def test_a_store_says_its_version(tmp_path: Path) -> None:
    KeyStore(tmp_path / "store").close()
    content = (tmp_path / "store").read_bytes()
    assert archive.store_version(content) == VERSION
    assert archive.store_version(b"") is archive.store_version(b"x" * 200) is None


def test_one_that_is_cut_off_anywhere_is_refused(made: Path) -> None:
    whole = made.read_bytes()
    for end in (0, 1, 12, 100, len(whole) // 2, len(whole) - 9, len(whole) - 1):
        made.write_bytes(whole[:end])
        with pytest.raises(UsageError) as told:
            archive.read(made)
        text = str(told.value)
        assert "cut off or damaged" in text and "\n" not in text and str(made) in text, end


def test_one_wrong_byte_is_seen(made: Path) -> None:
    whole = bytearray(made.read_bytes())
    for at in range(20, len(whole), 1999):
        whole[at] ^= 1
        made.write_bytes(whole)
        with pytest.raises(UsageError):
            archive.read(made)
        whole[at] ^= 1


def _tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def test_what_is_no_backup_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nothing.tar.gz: cannot be read \(no such file or directory\)"):
        archive.read(tmp_path / "nothing.tar.gz")
    with pytest.raises(UsageError, match=r"cannot be read \(is a directory\)"):
        archive.read(tmp_path)
    for members in (
        {"x": b"y"},
        {"manifest.json": b"[]"},
        {"manifest.json": b"{"},
        {"manifest.json": b'{"sha256": {}}'},
    ):
        with pytest.raises(UsageError, match="is not a backup; `fullbatch backup` makes one"):
            archive.read(_tar(tmp_path / "t", members))
    later = b'{"format": 2, "sha256": {}}'
    with pytest.raises(UsageError, match="made by a later version"):
        archive.read(_tar(tmp_path / "t", {"manifest.json": later}))


@pytest.mark.parametrize("name", ["files/../../etc/passwd", "/etc/passwd", "other/x"])
def test_no_member_leads_out_of_the_checkout(tmp_path: Path, name: str) -> None:
    archive.write(tmp_path / "b", MANIFEST, {name: b"x"})
    with pytest.raises(UsageError, match="which no backup of ours has; nothing was changed"):
        archive.read(tmp_path / "b")


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HostError, match=r"cannot be written \(no space left on device\)"):
        archive.write(tmp_path / "b", MANIFEST, CONTENTS)
    assert list(tmp_path.iterdir()) == []
