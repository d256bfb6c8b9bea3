"""What is under way, on the disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from fullbatch.core.errors import StateError
from fullbatch.upkeep import journal


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert journal.read(tmp_path) is None
    entry = journal.JournalEntry("upgrade", "change", "/b.tar.gz", {"gateway": "fullbatch/gateway:1"})
    journal.write(tmp_path, entry)
    assert journal.read(tmp_path) == entry
    journal.clear(tmp_path)
    assert journal.read(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"what": "upgrade", "other": 1}'])
def test_what_is_none_of_ours_is_told(tmp_path: Path, text: str) -> None:
    journal.write(tmp_path, journal.JournalEntry("upgrade", "change"))
    (tmp_path / ".fullbatch/upkeep/journal.json").write_text(text)
    with pytest.raises(StateError, match=r"journal\.json: is not a journal of ours"):
        journal.read(tmp_path)
