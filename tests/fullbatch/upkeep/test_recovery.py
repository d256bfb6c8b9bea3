"""What was cut off is finished or undone; test_backup.py and test_upgrade.py kill the commands themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from fullbatch.core.errors import StateError
from fullbatch.runtime import registry
from fullbatch.upkeep import journal, recovery


def test_where_nothing_was_cut_off_nothing_is_done(tmp_path: Path) -> None:
    said: list[str] = []
    recovery.recover(tmp_path, said.append)
    assert said == []


def test_a_restore_whose_file_has_gone_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "RUNTIMES", ())
    journal.write(tmp_path, journal.JournalEntry("restore", "change", str(tmp_path / "gone.tar.gz")))
    with pytest.raises(StateError) as told:
        recovery.recover(tmp_path, lambda _: None)
    assert str(told.value).splitlines()[1] == "then restore any backup: fullbatch restore FILE"
