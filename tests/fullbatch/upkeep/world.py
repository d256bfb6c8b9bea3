"""A runtime whose whole world is a file: what runs, what names mean, what is kept. It can be killed at each step.

Its store is a real one; its images are words. `bad` is one that starts and is not good, `newer` one that changes the
store's tables and is not good.
"""

# ruff: noqa: ARG001, ARG002 (it says nothing, and there is one of each)
from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from fullbatch.core.errors import EngineError, HostError
from fullbatch.planning.plan import Plan
from fullbatch.runtime import dotenv, registry
from fullbatch.runtime.base import Awaited, Deployment, RunningDeployment, Runtime, Say
from fullbatch.runtime.process.runtime import ProcessRunning
from fullbatch.runtime.upgradable import Images, ImageWish, RunningImage, Target, Upgradable
from fullbatch.upkeep import journal, judge, switch, upgrade
from fullbatch.upkeep.upgrade import UpgradeRequest
from gateway.keys.store import KeyStore
from gateway.keys.stored import Terms
from tests.fullbatch.upkeep.killed import die

GATEWAY, ENGINE = "GATEWAY_IMAGE", "ENGINE_IMAGE"
STORE = "gateway-state/store"
OLD = {GATEWAY: "gateway:local", ENGINE: "engine:1"}


class World:
    """Of the checkout at `root`; `kill_at`: the step before which everything ends, None: never."""

    def __init__(self, root: Path) -> None:
        self.root, self.path, self.store = root, root / "world.json", root / "store"
        self.kill_at: int | None = None
        self.steps = 0

    def make(self) -> World:
        self.root.mkdir(parents=True)
        (self.root / ".env").write_text("PROFILE=mine\nENGINE_IMAGE=engine:1\n")
        store = KeyStore(self.store)
        store.create("alice", Terms())
        store.close()
        self.write(
            tags={"gateway:local": "g1", "gateway:2": "g2", "gateway:bad": "bad", "gateway:newer": "newer"}
            | {"engine:1": "e1", "engine:2": "e2", "gateway:old": "old"},
            running={GATEWAY: ["gateway:local", "g1"], ENGINE: ["engine:1", "e1"]},
            kept={},
            builds="g1",
        )
        return self

    def read(self) -> dict[str, Any]:
        return dict(json.loads(self.path.read_text()))

    def write(self, **values: Any) -> None:
        before = self.read() if self.path.exists() else {}
        self.path.write_text(json.dumps(before | values))

    def step(self) -> None:
        self.steps += 1
        if self.kill_at == self.steps:
            die()

    def version(self) -> int:
        with contextlib.closing(sqlite3.connect(self.store)) as connection:
            return int(connection.execute("PRAGMA user_version").fetchone()[0])

    def keys(self) -> list[str]:
        with contextlib.closing(sqlite3.connect(self.store)) as connection:
            return [name for (name,) in connection.execute("SELECT name FROM keys ORDER BY name")]

    def running(self) -> dict[str, str]:
        return {variable: identity for variable, (_, identity) in self.read()["running"].items()}

    def next_start(self) -> dict[str, str]:
        """Variable -> id: what a bare start would take, which has to be there."""
        tags = self.read()["tags"]
        return {name: tags[dotenv.read(self.root).get(name) or OLD[name]] for name in OLD}


class WorldStack(Upgradable):
    profile = "mine"

    def __init__(self, world: World) -> None:
        self.world = world

    def images(self) -> dict[str, RunningImage]:
        running = self.world.read()["running"]
        return {name: RunningImage(name, reference, one) for name, (reference, one) in running.items()}

    def services(self) -> dict[str, int]:
        return {"gateway": 1, "engine": 1}

    def target(self, wish: ImageWish) -> dict[str, str]:
        if wish.tag:
            return {GATEWAY: f"gateway:{wish.tag}"}
        return dict(wish.images) or OLD

    def keep(self, images: Images, stamp: str) -> None:
        self.world.step()
        self.world.write(kept=self.world.read()["kept"] | {stamp: [one.id for one in images.values()]})

    def fetch(self, target: Target, say: Say) -> dict[str, str]:
        self.world.step()
        said = self.world.read()
        if target.get(GATEWAY) == OLD[GATEWAY]:  # built from the checkout
            self.world.write(tags=said["tags"] | {OLD[GATEWAY]: said["builds"]})
        for reference in target.values():
            if reference not in said["tags"]:
                raise HostError(f"{reference}: is not here and cannot be pulled")
        self.world.step()
        return {name: self.world.read()["tags"][reference] for name, reference in target.items()}

    def rehearse(self, target: Target, state: Mapping[str, bytes], say: Say) -> None:
        self.world.step()
        assert STORE in state
        assert ("rendered/mine/gateway.yaml" in state) == bool(self.world.read().get("stale"))
        if target.get(GATEWAY) == "gateway:old":
            raise HostError("gateway:old is not good for these keys, and nothing was changed: store is of version 2")

    def switch(self, target: Target, say: Say) -> None:
        self.world.step()
        dotenv.keep(self.world.root, target)
        self.world.step()
        self.start({}, say)

    def point_back(self, images: Images) -> None:
        self.world.step()
        self.world.write(tags=self.world.read()["tags"] | {one.reference: one.id for one in images.values()})

    def start(self, services: Mapping[str, int], say: Say) -> None:
        wanted = self.world.next_start()
        for name, identity in wanted.items():  # one container after the other
            self.world.step()
            reference = dotenv.read(self.world.root).get(name) or OLD[name]
            self.world.write(running=self.world.read()["running"] | {name: [reference, identity]})
            if identity == "newer":
                with contextlib.closing(sqlite3.connect(self.world.store)) as connection:
                    connection.execute("PRAGMA user_version = 99")
        self.world.step()

    def store(self, images: Images) -> bytes | None:
        return self.world.store.read_bytes()

    def put_store(self, images: Images, content: bytes, say: Say) -> None:
        self.world.step()
        self.world.store.write_bytes(content)

    def deployment(self, plan: Plan) -> Deployment:
        return cast(Deployment, None)


class WorldRuntime(Runtime):
    name, about = "world", "words in a file"

    def __init__(self, world: World) -> None:
        self.world = world

    def deployment(self, root: Path, plan: Plan, ports: object) -> Deployment:
        raise NotImplementedError

    def running(self, root: Path) -> list[RunningDeployment]:
        found = ProcessRunning(root, "mine", None)
        found.runtime = self.name
        return [found] if self.world.read()["running"] else []

    def kept_state(self, root: Path) -> dict[str, bytes]:
        return {STORE: self.world.store.read_bytes()}

    def upgradable(self, root: Path, profile: str) -> WorldStack:
        return WorldStack(self.world)

    def forget_images(self, root: Path, stamp: str) -> None:
        kept = self.world.read()["kept"]
        kept.pop(stamp, None)
        self.world.write(kept=kept)


def inhabit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the commands see this world, die where it says, and judge by its words."""

    def token(awaited: Awaited, plan: Plan, say: Say, timeout: float) -> float:
        world.step()
        return 0.0

    def judged(self: judge.Judge, awaited: Awaited, was: judge.Before, say: Say) -> None:
        world.step()
        if set(world.running().values()) & {"bad", "newer"}:
            raise EngineError("it gives no token", "the engine's log ends:")

    written, cleared = journal.write, journal.clear

    def write(root: Path, entry: journal.JournalEntry) -> None:
        world.step()
        written(root, entry)
        world.step()

    def clear(root: Path) -> None:
        world.step()
        cleared(root)

    monkeypatch.setattr(registry, "RUNTIMES", (WorldRuntime(world),))
    monkeypatch.setattr(judge, "token", token)
    monkeypatch.setattr(judge.Judge, "judge", judged)
    monkeypatch.setattr(judge, "before", lambda _running: judge.Before(None))
    monkeypatch.setattr(switch, "plan_of", lambda *_: cast(Plan, None))
    rendered = {Path("rendered/mine/gateway.yaml"): "new\n"}
    monkeypatch.setattr(upgrade, "_stale", lambda *_: rendered if world.read().get("stale") else {})
    monkeypatch.setattr(journal, "write", write)
    monkeypatch.setattr(journal, "clear", clear)


def wish(tag: str = "", **images: str) -> UpgradeRequest:
    return UpgradeRequest(ImageWish(tag, images))
