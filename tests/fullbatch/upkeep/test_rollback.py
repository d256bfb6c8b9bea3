"""Going back by hand, and killed in the middle of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fullbatch.core.errors import HostError, StateError
from fullbatch.upkeep import backup, journal, kept, recovery, rollback, switch, upgrade
from tests.fullbatch.upkeep.killed import KILLED, runs
from tests.fullbatch.upkeep.world import ENGINE, GATEWAY, World, inhabit, wish


def say(_line: str) -> None:
    pass


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """After a good upgrade."""
    made = World(tmp_path / "w").make()
    inhabit(made, monkeypatch)
    upgrade.upgrade(made.root, wish("2"), say)
    return made


def test_back_to_what_ran_before(world: World) -> None:
    said: list[str] = []
    rollback.rollback(world.root, said.append, 1.0)
    assert world.running() == world.next_start() == {GATEWAY: "g1", ENGINE: "e1"}
    assert said[0] == "GATEWAY_IMAGE: gateway:2 -> gateway:local (g1)"
    with pytest.raises(StateError, match="already"):
        rollback.rollback(world.root, say, 1.0)


def test_a_backup_that_was_asked_for_is_no_upgrade(world: World) -> None:
    backup.command(world.root, None)
    rollback.rollback(world.root, say, 1.0)
    assert world.running()[GATEWAY] == "g1"
    for path in kept.listed(world.root):
        path.unlink()
    backup.command(world.root, None)
    with pytest.raises(StateError, match="no upgrade to go back from is kept here"):
        rollback.rollback(world.root, say, 1.0)


def test_three_are_kept_with_their_images(world: World) -> None:
    for tag in ("local", "2", "local", "2"):
        upgrade.upgrade(world.root, wish(tag), say)
    assert sorted(world.read()["kept"]) == sorted(kept.stamp(path) for path in kept.listed(world.root))
    assert len(kept.listed(world.root)) == 3


def test_a_kill_before_any_step_ends_where_it_was_going(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    number = 0
    while True:
        number += 1
        world = World(tmp_path / f"w{number}").make()
        inhabit(world, monkeypatch)
        upgrade.upgrade(world.root, wish("2"), say)
        world.steps, world.kill_at = 0, number
        code = runs(lambda w=world: rollback.rollback(w.root, say, 1.0))  # type: ignore[misc]
        if code != KILLED:
            break
        world.kill_at = None
        begun = journal.read(world.root) is not None
        assert world.next_start()
        recovery.recover(world.root, say)
        monkeypatch.undo()
        assert world.running() == world.next_start() == {GATEWAY: "g1" if begun else "g2", ENGINE: "e1"}
    assert number > 8


def test_one_that_names_no_images(world: World) -> None:
    made = backup.command(world.root, None)
    with pytest.raises(HostError, match="names no images to go back to"):
        switch.need_images(made, {})
