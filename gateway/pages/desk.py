"""A thread of the pages that looks into files: a slow disk holds up neither requests nor the end of the process."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from gateway.core.errors import GatewayError, Overloaded
from gateway.core.supervisor import Supervisor

T = TypeVar("T")
# So many may wait for it, and so long may one wait.
MAX_WAITING = 16
ANSWER_S = 5.0


@dataclass(slots=True)
class _Job:
    work: Callable[[], Any]
    answer: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class DeskWords:
    """Of one desk. ``part``: its thread's, of the supervisor; ``what``: what it looks at, for a person;
    ``silent``: the error for who has waited too long; ``refusals``: besides the gateway's own, what work may raise."""

    part: str
    what: str
    silent: type[GatewayError]
    refusals: tuple[type[Exception], ...] = ()


class Desk:
    """Does one thing after the other. The thread begins with the first of them."""

    def __init__(self, words: DeskWords, supervisor: Supervisor, loop: asyncio.AbstractEventLoop) -> None:
        self._words = words
        self._loop = loop
        self._caught: tuple[type[Exception], ...] = (GatewayError, *words.refusals)
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._thread = supervisor.thread(words.part, self._run)
        self._started = False

    @property
    def waiting(self) -> int:
        """Jobs that nobody has begun."""
        return self._jobs.qsize()

    async def ask(self, work: Callable[[], T]) -> T:
        """What ``work`` returns, done in the thread.

        Raises:
            Overloaded: too many ask. GatewayError: it does not answer. Whatever of the refusals ``work`` raises.
        """
        if self._jobs.qsize() >= MAX_WAITING:
            raise Overloaded(f"too many look at {self._words.what} at once; try again in 1 s")
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
            told = f"{self._words.what} did not answer within {ANSWER_S:g} s"
            raise self._words.silent(told, retry_after=5) from None

    def _run(self) -> None:
        while True:
            job = self._jobs.get()
            if not job.answer.done():
                self._do(job)

    def _do(self, job: _Job) -> None:
        try:
            result = job.work()
        except self._caught as error:
            self._loop.call_soon_threadsafe(_settle, job.answer, None, error)
        else:
            self._loop.call_soon_threadsafe(_settle, job.answer, result, None)


def _settle(answer: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    """Who asked may have left."""
    if answer.done():
        return
    if error is None:
        answer.set_result(result)
    else:
        answer.set_exception(error)
