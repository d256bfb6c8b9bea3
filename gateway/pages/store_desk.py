"""A thread that asks the key store for the pages: a slow disk holds up neither requests nor what writes usage."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from gateway.core.errors import GatewayError
from gateway.core.supervisor import Supervisor
from gateway.keys.opening import opened
from gateway.keys.store import Store
from gateway.keys.stored import StoreError
from gateway.pages.desk import Desk, DeskWords

T = TypeVar("T")
BUSY_S = 2.0


class StoreUnusable(GatewayError):
    """The store cannot be read or written at the moment."""

    status, code = 503, "store_unusable"


class StoreDesk:
    """Does one thing after the other, each with the store opened anew: another file may be in its place by then."""

    def __init__(self, path: Path, supervisor: Supervisor, loop: asyncio.AbstractEventLoop) -> None:
        self._path = path
        words = DeskWords("store_desk", "the key store", StoreUnusable, (StoreError,))
        self.desk = Desk(words, supervisor, loop)

    async def ask(self, work: Callable[[Store], T]) -> T:
        """What ``work`` returns, done with the open store in the thread.

        Raises:
            Overloaded: too many ask. StoreUnusable: it cannot be opened or read, or does not answer.
            StoreError: ``work`` cannot be done; for the person who asked.
        """
        return await self.desk.ask(lambda: self._done(work))

    def _done(self, work: Callable[[Store], T]) -> T:
        try:
            return self._opened(work)
        except (StoreError, GatewayError) as error:
            raise _without(str(self._path), error) from None
        except sqlite3.Error as error:
            raise StoreUnusable(f"the key store cannot be read ({error}); try again", retry_after=2) from None

    def _opened(self, work: Callable[[Store], T]) -> T:
        if not self._path.exists():  # opening would make it
            raise StoreUnusable("the key store is not there any more; whoever runs this gateway has to look")
        store = opened(self._path, BUSY_S)
        try:
            return work(store)
        finally:
            store.close()


def _without(path: str, error: Exception) -> Exception:
    """Where the file lies is nobody's who looks at a page."""
    said = str(error)
    if not said.startswith(path):
        return error
    return StoreUnusable(f"the key store: {said.removeprefix(path).removeprefix(': ')}", retry_after=2)
