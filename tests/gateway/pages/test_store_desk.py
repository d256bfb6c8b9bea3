"""The thread that asks the store: what it answers, and what it says when it cannot."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest

from gateway.core.errors import Overloaded
from gateway.core.supervisor import Supervisor
from gateway.keys.store import KeyStore
from gateway.keys.stored import StoreError, Terms
from gateway.pages import desk as desk_module
from gateway.pages.desk import MAX_WAITING
from gateway.pages.store_desk import StoreDesk, StoreUnusable


def desk_of(path: Path) -> StoreDesk:
    return StoreDesk(path, Supervisor(), asyncio.get_running_loop())


async def test_it_answers_from_another_thread_and_tells_what_cannot_be_done(tmp_path: Path) -> None:
    path = tmp_path / "store"
    KeyStore(path).close()
    desk = desk_of(path)
    await desk.ask(lambda store: store.create("alice", Terms()))
    assert [key.name for key in await desk.ask(KeyStore.keys)] == ["alice"]
    assert await desk.ask(lambda _: threading.current_thread()) is not threading.current_thread()
    with pytest.raises(StoreError, match="'bob': no key of that name"):
        await desk.ask(lambda store: store.get("bob"))


async def test_a_store_that_is_gone_or_broken_is_told_without_its_path(tmp_path: Path) -> None:
    path = tmp_path / "store"
    desk = desk_of(path)
    with pytest.raises(StoreUnusable) as gone:
        await desk.ask(KeyStore.keys)
    assert not path.exists() and str(tmp_path) not in gone.value.message
    path.write_bytes(b"no database, and longer than a page's head" * 100)
    with pytest.raises(StoreUnusable) as broken:
        await desk.ask(KeyStore.keys)
    assert str(tmp_path) not in broken.value.message


async def test_a_disk_that_hangs_holds_up_few_and_not_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk_module, "ANSWER_S", 0.2)
    path = tmp_path / "store"
    KeyStore(path).close()
    desk, hangs = desk_of(path), threading.Event()
    began = time.monotonic()
    asked: list[asyncio.Future[object]] = [asyncio.ensure_future(desk.ask(lambda _: hangs.wait(30)))]
    await asyncio.sleep(0.1)  # it has begun
    asked += [asyncio.ensure_future(desk.ask(KeyStore.keys)) for _ in range(MAX_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await desk.ask(KeyStore.keys)
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(result, StoreUnusable) for result in results) and time.monotonic() - began < 10
    hangs.set()
    monkeypatch.setattr(desk_module, "ANSWER_S", 30.0)
    while desk.desk.waiting:  # noqa: ASYNC110 whom nobody waits for is passed over
        await asyncio.sleep(0.01)
    assert await desk.ask(KeyStore.keys) == []
