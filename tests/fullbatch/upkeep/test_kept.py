"""The three backups that are kept."""

from __future__ import annotations

from pathlib import Path

from fullbatch.upkeep import kept


def test_the_last_three_stay(tmp_path: Path) -> None:
    made = []
    for number in range(5):
        path = kept.folder(tmp_path) / f"fullbatch-2026113{number}T120000-000.tar.gz"
        path.write_bytes(b"")
        made.append(path)
    (kept.folder(tmp_path) / "mine.tar.gz").write_bytes(b"")
    assert kept.listed(tmp_path) == made[::-1]
    assert kept.surplus(tmp_path) == [made[1], made[0]]
    assert kept.folder(tmp_path).stat().st_mode & 0o777 == 0o700


def test_a_stamp_is_what_a_tag_may_be(tmp_path: Path) -> None:
    path = kept.new(tmp_path)
    assert path.parent == kept.folder(tmp_path) and path not in kept.listed(tmp_path)
    assert kept.stamp(path).replace("-", "").isalnum() and kept.stamp(path).islower()
