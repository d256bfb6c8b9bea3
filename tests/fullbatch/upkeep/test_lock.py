"""One at a time, and a killed one is no obstacle."""

from __future__ import annotations

from pathlib import Path

import pytest

from fullbatch.core.errors import StateError
from fullbatch.upkeep import lock
from tests.fullbatch.upkeep.killed import KILLED, die, runs


def test_the_second_is_told_what_goes_on(tmp_path: Path) -> None:
    with lock.held(tmp_path, "upgrade"):
        with pytest.raises(StateError) as told, lock.held(tmp_path, "backup"):
            pass
        assert "backup: fullbatch upgrade (process " in str(told.value) and "\n" not in str(told.value)
    with lock.held(tmp_path, "backup"):
        pass
    assert lock.folder(tmp_path).stat().st_mode & 0o777 == 0o700


def test_a_killed_one_holds_nothing(tmp_path: Path) -> None:
    def killed() -> None:
        with lock.held(tmp_path, "upgrade"):
            die()

    assert runs(killed) == KILLED
    with lock.held(tmp_path, "rollback"):
        pass
