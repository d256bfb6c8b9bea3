"""The batch: who runs, who waits, how full the KV cache is, and when the next token comes."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable

from tests.fakes.engine.knobs import Knobs
from tests.fakes.engine.metrics import Meters

STALL_POLL_S = 0.02


class Job:
    """One request inside the engine. ``on_token`` is called once for each token, with True for the last."""

    def __init__(self, prompt_tokens: int, max_new: int, on_token: Callable[[bool], None]) -> None:
        self.prompt_tokens = prompt_tokens
        self.max_new = max_new
        self.on_token = on_token
        self.generated = 0
        self.due = 0.0
        self.submitted = 0.0
        self.last_token = 0.0
        self.held = False
        self.parked = False
        self.timer: asyncio.TimerHandle | asyncio.Handle | None = None

    @property
    def live_tokens(self) -> int:
        return self.prompt_tokens + self.generated


class Batch:
    """Runs jobs as vLLM's scheduler does: first come, first served, up to max_num_seqs and the KV cache's size.

    A sequence takes blocks as it grows; when the pool is full the youngest one is preempted and computed anew.
    """

    def __init__(self, knobs: Knobs, meters: Meters, loop: asyncio.AbstractEventLoop) -> None:
        self._knobs = knobs
        self._meters = meters
        self._loop = loop
        self.running: list[Job] = []
        self.waiting: deque[Job] = deque()
        self._stepped_at = 0.0
        self.submitted = 0
        self.longest_queue = 0

    def submit(self, job: Job) -> None:
        job.submitted = self._loop.time()
        self.submitted += 1
        self.waiting.append(job)
        self._admit()
        self.longest_queue = max(self.longest_queue, len(self.waiting))

    def cancel(self, job: Job) -> None:
        """Take a job out wherever it is; harmless when it has finished."""
        if job in self.running:
            self._leave(job)
            self._meters.aborted += 1
        elif job in self.waiting:
            self.waiting.remove(job)
            self._meters.aborted += 1
        self._admit()

    def hold(self, job: Job) -> None:
        """The client does not read: no further token is made for this job until `release`."""
        job.held = True

    def release(self, job: Job) -> None:
        job.held = False
        if job.parked:
            job.parked = False
            job.due = self._loop.time()
            self._schedule(job)

    def kv_usage(self) -> float:
        """The used share of the KV cache, 0 to 1, in whole blocks."""
        return min(1.0, self._used_blocks() / self._blocks())

    def _blocks(self) -> int:
        return max(1, self._knobs.kv_tokens // self._knobs.block_size)

    def _blocks_of(self, tokens: int) -> int:
        return -(-tokens // self._knobs.block_size)

    def _used_blocks(self) -> int:
        return sum(self._blocks_of(job.live_tokens) for job in self.running)

    def _admit(self) -> None:
        while self.waiting and len(self.running) < self._knobs.max_num_seqs:
            job = self.waiting[0]
            fits = self._used_blocks() + self._blocks_of(job.live_tokens + 1) <= self._blocks()
            if self.running and not fits:
                return
            self.running.append(self.waiting.popleft())
            job.due = self._loop.time() + self._varied(self._knobs.ttft_ms)
            self._schedule(job)

    def _varied(self, milliseconds: float) -> float:
        share = self._knobs.jitter
        return milliseconds / 1000 * (1 + random.uniform(-share, share)) if share else milliseconds / 1000

    def _schedule(self, job: Job) -> None:
        if job.due > self._loop.time():
            job.timer = self._loop.call_at(job.due, self._step, job)
        else:
            job.timer = self._loop.call_soon(self._step, job)

    def _step(self, job: Job) -> None:
        if self._knobs.fault == "stall":
            job.due = self._loop.time() + STALL_POLL_S
            self._schedule(job)
            return
        if job.held:
            job.parked = True
            return
        self._count_step()
        self._count_token(job)
        if job.generated >= job.max_new:
            self._leave(job)
            self._meters.finished(job.prompt_tokens, job.generated, self._loop.time() - job.submitted)
            job.on_token(True)
            self._admit()
            return
        job.due += self._varied(self._knobs.itl_ms)
        self._schedule(job)
        self._make_room()
        job.on_token(False)

    def _count_step(self) -> None:
        """Jobs whose token is due at the same moment share a step."""
        if self._loop.time() > self._stepped_at:
            self._stepped_at = self._loop.time()
            self._meters.step(len(self.running))

    def _count_token(self, job: Job) -> None:
        now = self._loop.time()
        if job.generated == 0:
            self._meters.first_token(job.prompt_tokens, now - job.submitted)
        else:
            self._meters.next_token(now - job.last_token)
        job.last_token = now
        job.generated += 1

    def _make_room(self) -> None:
        while len(self.running) > 1 and self._used_blocks() > self._blocks():
            victim = self.running[-1]
            self._leave(victim)
            self._meters.preemptions += 1
            self.waiting.appendleft(victim)

    def _leave(self, job: Job) -> None:
        if job.timer is not None:
            job.timer.cancel()
        self.running.remove(job)
