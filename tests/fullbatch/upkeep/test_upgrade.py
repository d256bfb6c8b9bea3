"""Upgrades in a world of words: good, bad, refused, and killed before each of their steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from fullbatch.core.errors import HostError, StateError
from fullbatch.upkeep import archive, journal, kept, recovery, switch, upgrade
from fullbatch.upkeep.switch import Undone
from gateway.keys.schema import VERSION
from gateway.keys.store import KeyStore
from gateway.keys.stored import Terms
from tests.fullbatch.upkeep.killed import KILLED, runs
from tests.fullbatch.upkeep.world import ENGINE, GATEWAY, World, inhabit, wish


def say(_line: str) -> None:
    pass


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path / "w").make()
    inhabit(made, monkeypatch)
    return made


def unchanged(world: World) -> None:
    assert world.running() == world.next_start() == {GATEWAY: "g1", ENGINE: "e1"}
    assert (world.root / ".env").read_text() == "PROFILE=mine\nENGINE_IMAGE=engine:1\n"
    assert world.version() == VERSION and world.keys() == ["alice"]
    assert journal.read(world.root) is None


def test_a_good_one(world: World) -> None:
    said: list[str] = []
    assert upgrade.upgrade(world.root, wish("2"), said.append)
    assert world.running() == world.next_start() == {GATEWAY: "g2", ENGINE: "e1"}
    assert any("gateway:local -> gateway:2" in line for line in said)
    (made,) = [archive.read(path) for path in kept.listed(world.root)]
    assert made.manifest.why == switch.BEFORE and made.manifest.services == {"gateway": 1, "engine": 1}
    assert world.read()["kept"] == {kept.stamp(made.path): ["g1", "e1"]}, "nobody can prune what it may go back to"
    assert made.contents["lock/images.env"] == b"GATEWAY_IMAGE=g1\nENGINE_IMAGE=e1\n"


def test_without_a_wish_it_is_what_the_checkout_says(world: World) -> None:
    said: list[str] = []
    assert not upgrade.upgrade(world.root, wish(), said.append)
    assert said[-1].endswith("nothing to do") and kept.listed(world.root) == []
    world.write(builds="g3")
    assert upgrade.upgrade(world.root, wish(), say)
    assert world.running()[GATEWAY] == world.read()["tags"]["gateway:local"] == "g3"


def test_a_dry_run_changes_nothing(world: World) -> None:
    before = world.read()
    said: list[str] = []
    request = upgrade.UpgradeRequest(wish("2").wish, dry_run=True)
    assert not upgrade.upgrade(world.root, request, said.append)
    assert said == ["GATEWAY_IMAGE: gateway:local -> gateway:2"] and world.read() == before
    assert kept.listed(world.root) == []


@pytest.mark.parametrize("tag", ["bad", "newer"])
def test_a_bad_one_undoes_itself(world: World, tag: str) -> None:
    world.write(stale=True)
    (world.root / "rendered/mine").mkdir(parents=True)
    (world.root / "rendered/mine/gateway.yaml").write_text("old\n")
    with pytest.raises(Undone) as told:
        upgrade.upgrade(world.root, wish(tag), say)
    assert told.value.exit_code == 1
    assert str(told.value).splitlines()[0] == "upgrade: it gives no token; the version before runs again"
    unchanged(world)
    assert (world.root / "rendered/mine/gateway.yaml").read_text() == "old\n"


def test_what_was_used_meanwhile_stays_where_the_tables_are_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def switched(*_: object) -> None:
        store = KeyStore(world.store)
        store.create("bob", Terms())
        store.close()
        raise HostError("no")

    monkeypatch.setattr("tests.fullbatch.upkeep.world.WorldStack.switch", switched)
    with pytest.raises(Undone):
        upgrade.upgrade(world.root, wish("2"), say)
    assert world.keys() == ["alice", "bob"]


@pytest.mark.parametrize(
    ("tag", "why"), [("nowhere", "gateway:nowhere: is not here"), ("old", "gateway:old is not good for these keys")]
)
def test_what_cannot_be_had_or_used_is_refused_before_anything_stops(world: World, tag: str, why: str) -> None:
    before = world.read()
    with pytest.raises(HostError, match=why):
        upgrade.upgrade(world.root, wish(tag), say)
    unchanged(world)
    assert world.read() == before and kept.listed(world.root) == []


def test_a_build_that_is_refused_leaves_the_name_as_it_was(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise HostError("no")

    world.write(builds="g3")
    monkeypatch.setattr("tests.fullbatch.upkeep.world.WorldStack.rehearse", refused)
    with pytest.raises(HostError):
        upgrade.upgrade(world.root, wish(), say)
    unchanged(world)


def test_one_that_cannot_go_back_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> float:
        raise HostError("no Docker any more", "second line")

    monkeypatch.setattr("fullbatch.upkeep.judge.token", never)
    with pytest.raises(StateError) as told:
        upgrade.upgrade(world.root, wish("bad"), say)
    assert "going back has failed too: no Docker any more; `fullbatch up` tries it again" in str(told.value)
    assert (left := journal.read(world.root)) and left.phase == "undo"


def test_nothing_runs(world: World) -> None:
    world.write(running={})
    with pytest.raises(StateError, match="nothing is running"):
        upgrade.upgrade(world.root, wish("2"), say)


@pytest.mark.parametrize("tag", ["2", "newer", ""])
def test_a_kill_before_any_step_leaves_one_or_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tag: str
) -> None:
    """After each of them a bare start finds its images, and the next command ends on the old or the new version."""
    ends: set[str] = set()
    number = 0
    while True:
        number += 1
        world = World(tmp_path / f"w{number}").make()
        world.write(builds="g3", stale=True)
        inhabit(world, monkeypatch)
        world.kill_at = number
        code = runs(lambda w=world: upgrade.upgrade(w.root, wish(tag), say))  # type: ignore[misc]
        monkeypatch.undo()
        if code != KILLED:
            break
        inhabit(world, monkeypatch)
        assert world.next_start(), "every name is an image that is there"
        world.kill_at = None
        recovery.recover(world.root, say)
        monkeypatch.undo()
        assert journal.read(world.root) is None
        end = world.running()[GATEWAY]
        assert world.running() == world.next_start() and world.version() == VERSION and world.keys() == ["alice"]
        assert not list(world.root.rglob("*.part"))
        ends.add(end)
        if end == "g1":
            assert (world.root / ".env").read_text() == "PROFILE=mine\nENGINE_IMAGE=engine:1\n"
    assert number > 15
    assert ends == {"2": {"g1", "g2"}, "newer": {"g1"}, "": {"g1", "g3"}}[tag]
