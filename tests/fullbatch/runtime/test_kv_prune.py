"""The KV cache on disk stays below its quota, and nothing but its oldest blocks goes."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fullbatch.runtime import kv_prune
from fullbatch.runtime.kv_prune import ABANDONED_S, YOUNG_S, Pruned, prune
from tests.waiting import wait_for

NOW = 1_000_000.0
SIZE = 1000


def _hash(number: int) -> str:
    return f"{number:064x}"


def _block(folder: Path, number: int, age: float, suffix: str = "") -> Path:
    """A block as vLLM lays it out (v1/kv_offload/file_mapper.py), written `age` seconds ago."""
    name = _hash(number)
    path = folder / "org_model_0123456789ab_r0" / name[:3] / f"{name[3:5]}_g0" / f"{name}.bin{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * SIZE)
    os.utime(path, (NOW - age, NOW - age))
    return path


def test_the_oldest_go_until_the_rest_is_below_the_quota(tmp_path: Path) -> None:
    blocks = [_block(tmp_path, number, age=10_000 - 100 * number) for number in range(20)]
    assert prune(tmp_path, 10 * SIZE, NOW) == Pruned(20 * SIZE, 11, 11 * SIZE)  # to 95 % of it, so that there is room
    assert [path.exists() for path in blocks] == [False] * 11 + [True] * 9


def test_below_the_quota_nothing_goes(tmp_path: Path) -> None:
    blocks = [_block(tmp_path, number, age=10_000) for number in range(10)]
    assert prune(tmp_path, 10 * SIZE, NOW) == Pruned(10 * SIZE)
    assert all(path.exists() for path in blocks)


def test_what_is_just_written_stays_even_above_the_quota(tmp_path: Path) -> None:
    young = [_block(tmp_path, number, age=YOUNG_S - 1) for number in range(5)]
    old = _block(tmp_path, 9, age=YOUNG_S + 1)
    assert prune(tmp_path, SIZE, NOW) == Pruned(6 * SIZE, 1, SIZE)
    assert all(path.exists() for path in young) and not old.exists()


def test_a_half_written_block_goes_once_nobody_can_be_writing_it(tmp_path: Path) -> None:
    mine = _block(tmp_path, 1, age=ABANDONED_S - 1, suffix="_123.tmp")
    left = _block(tmp_path, 2, age=ABANDONED_S + 1, suffix="_456.tmp")
    assert prune(tmp_path, 10 * SIZE, NOW).files == 1
    assert mine.exists() and not left.exists()


@pytest.mark.parametrize(
    "name", ["config.json", "notes.txt", "model.bin", "ABCDEF0123456789AB.bin", "0123456789abcdef0.bin.bak"]
)
def test_no_other_file_goes(tmp_path: Path, name: str) -> None:
    _block(tmp_path, 1, age=10_000)
    other = tmp_path / "org_model_0123456789ab_r0" / name
    other.write_bytes(b"x" * SIZE)
    os.utime(other, (0, 0))
    prune(tmp_path, 1, NOW)
    assert other.exists()


def test_links_are_neither_followed_nor_removed(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "kv", tmp_path / "elsewhere"
    outside = _block(elsewhere, 1, age=10_000)
    inside = _block(folder, 2, age=10_000)
    (folder / "linked").symlink_to(elsewhere)
    link = inside.parent / f"{_hash(3)}.bin"
    link.symlink_to(outside)
    assert prune(folder, 1, NOW) == Pruned(SIZE, 1, SIZE)
    assert outside.exists() and link.is_symlink() and not inside.exists()


def test_a_folder_that_becomes_a_link_meanwhile_is_not_entered(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "kv", tmp_path / "elsewhere"
    inside, outside = _block(folder, 1, age=10_000), _block(elsewhere, 1, age=10_000)
    path = f"./{inside.relative_to(folder)}"
    parent = inside.parent
    inside.unlink()
    parent.rmdir()
    parent.symlink_to(outside.parent)
    top = os.open(folder, os.O_RDONLY)
    try:
        assert kv_prune._remove(top, path) is False
    finally:
        os.close(top)
    assert outside.exists()


def test_its_folder_is_made_for_its_owner_alone_and_is_no_link(tmp_path: Path) -> None:
    kv_prune.prepare(tmp_path / "kv")
    assert stat.S_IMODE((tmp_path / "kv").stat().st_mode) == 0o700
    (tmp_path / "link").symlink_to(tmp_path / "kv")
    with pytest.raises(OSError):
        kv_prune.prepare(tmp_path / "link")


def test_the_program_prunes_again_and_again_until_it_is_told_to_stop(tmp_path: Path) -> None:
    words = [sys.executable, kv_prune.__file__, str(tmp_path / "kv"), "--quota-gib", "1e-5", "--every", "0.1"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as running:
        try:
            wait_for(lambda: (tmp_path / "kv").is_dir(), 10, "its folder")
            blocks = [_block(tmp_path / "kv", number, age=NOW - (time.time() - 1000)) for number in range(20)]
            wait_for(lambda: sum(path.exists() for path in blocks) <= 10, 10, "blocks to go")
        finally:
            running.send_signal(signal.SIGTERM)
        said = running.communicate(timeout=20)[1]
    assert running.returncode == 0
    assert "files gone" in said


def test_a_folder_that_is_a_link_ends_it_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "kv").symlink_to(tmp_path)
    words = [sys.executable, kv_prune.__file__, str(tmp_path / "kv"), "--quota-gib", "1"]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1 and "give a folder that is no link" in ended.stderr
