"""What upgrade, rollback and recovery have in common; test_upgrade.py and test_rollback.py do it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fullbatch.runtime.upgradable import RunningImage
from fullbatch.upkeep import archive, journal, kept, switch, upgrade
from tests.fullbatch.checkout import REPOSITORY
from tests.fullbatch.upkeep.world import GATEWAY, World, WorldStack, inhabit, wish


def test_what_ran_is_read_from_the_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path / "w").make()
    inhabit(world, monkeypatch)
    upgrade.upgrade(world.root, wish("2"), lambda _: None)
    made = archive.read(kept.listed(world.root)[0])
    assert switch.images_of(made)[GATEWAY] == RunningImage(GATEWAY, "gateway:local", "g1")
    assert isinstance(switch.stack_of(world.root, made), WorldStack)
    for _ in range(2):  # as often as one likes
        switch.go_back(world.root, made, journal.JournalEntry("rollback", "undo"), lambda _: None, 1.0)
        assert world.running()[GATEWAY] == "g1" and journal.read(world.root) is None


def test_the_plan_is_of_the_profile_as_it_stands() -> None:
    assert switch.plan_of(REPOSITORY, "cpu-tiny").capacity.kv_tokens == 524_288
