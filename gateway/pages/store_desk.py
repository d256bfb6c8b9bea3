"""A thread that asks the key store for the pages: a slow disk holds up neither requests nor what writes usage."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from gateway.core.errors import GatewayError, Overloaded
from gateway.core.supervisor import Supervisor
from gateway.keys.opening import opened
from gateway.keys.store import Store
from gateway.keys.stored import StoreError

T = TypeVar("T")
BUSY_S = 2.0
# So many may wait for it, and so long may one wait.
MAX_WAITING = 16
ANSWER_S = 5.0


class StoreUnusable(GatewayError):
    """The store cannot be read or written at the moment."""

    status, code = 503, "store_unusable"


@dataclass(slots=True)
class _Job:
    work: Callable[[Store], Any]
    answer: asyncio.Future[Any]


class StoreDesk:
    """Does one thing after the other, each with the store opened anew: another file may be in its place by then."""

    def __init__(self, path: Path, supervisor: Supervisor, loop: asyncio.AbstractEventLoop) -> None:
        self._path = path
        self._loop = loop
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._thread = supervisor.thread("store_desk", self._run)
        self._started = False

    async def ask(self, work: Callable[[Store], T]) -> T:
        """What ``work`` returns, done with the open store in the thread.

        Raises:
            Overloaded: too many ask. StoreUnusable: it cannot be opened or read, or does not answer.
            StoreError: ``work`` cannot be done; for the person who asked.
        """
        if self._jobs.qsize() >= MAX_WAITING:
            raise Overloaded("too many look at the key store at once; try again in 1 s")
        if not self._started:
            self._started = True
            self._thread.start()
        job = _Job(work, self._loop.create_future())
        self._jobs.put(job)
        try:
            async with asyncio.timeout(ANSWER_S):
                done: T = await job.answer
                return done
        except TimeoutError:
            raise StoreUnusable(f"the key store did not answer within {ANSWER_S:g} s", retry_after=5) from None

    def _run(self) -> None:
        while True:
            job = self._jobs.get()
            if not job.answer.done():
                self._do(job)

    def _do(self, job: _Job) -> None:
        try:
            result = self._done(job.work)
        except (StoreError, GatewayError) as error:
            self._settle(job, None, _without(str(self._path), error))
        except sqlite3.Error as error:
            self._settle(job, None, StoreUnusable(f"the key store cannot be read ({error}); try again", retry_after=2))
        else:
            self._settle(job, result, None)

    def _done(self, work: Callable[[Store], Any]) -> Any:
        if not self._path.exists():  # opening would make it
            raise StoreUnusable("the key store is not there any more; whoever runs this gateway has to look")
        store = opened(self._path, BUSY_S)
        try:
            return work(store)
        finally:
            store.close()

    def _settle(self, job: _Job, result: Any, error: Exception | None) -> None:
        self._loop.call_soon_threadsafe(_settle, job.answer, result, error)


def _without(path: str, error: Exception) -> Exception:
    """Where the file lies is nobody's who looks at a page."""
    said = str(error)
    if not said.startswith(path):
        return error
    return StoreUnusable(f"the key store: {said.removeprefix(path).removeprefix(': ')}", retry_after=2)


def _settle(answer: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    """Who asked may have left."""
    if answer.done():
        return
    if error is None:
        answer.set_result(result)
    else:
        answer.set_exception(error)
