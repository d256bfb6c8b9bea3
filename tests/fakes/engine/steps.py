"""The batch in steps: all that run get their token at the same moment, and prompts are read in the steps between."""

from __future__ import annotations

import asyncio

from tests.fakes.engine.batch import STALL_POLL_S, Job
from tests.fakes.engine.knobs import Knobs
from tests.fakes.engine.metrics import Meters
from tests.fakes.engine.model import EngineModel, Sequence


class SteppedBatch:
    """`batch.Batch` with the scheduling of `model.EngineModel`; used when the knob ``step_ms`` is set."""

    def __init__(self, knobs: Knobs, meters: Meters, loop: asyncio.AbstractEventLoop) -> None:
        self._knobs = knobs
        self._meters = meters
        self._loop = loop
        self._model = EngineModel(
            knobs.max_num_seqs,
            knobs.kv_tokens,
            knobs.block_size,
            knobs.step_ms / 1000,
            knobs.prefill_us / 1e6,
            knobs.step_tokens,
        )
        self._jobs: dict[int, tuple[Job, Sequence]] = {}
        self._due = 0.0
        self._stepping = False
        self.submitted = 0
        self.longest_queue = 0

    @property
    def running(self) -> list[Sequence]:
        return self._model.running

    @property
    def waiting(self) -> list[Sequence]:
        return list(self._model.waiting)

    def kv_usage(self) -> float:
        """The used share of the KV cache, 0 to 1, in whole blocks."""
        return self._model.usage()

    def submit(self, job: Job) -> None:
        job.submitted = self._loop.time()
        self.submitted += 1
        sequence = Sequence(max(1, job.prompt_tokens), max(1, job.max_new))
        self._jobs[id(sequence)] = job, sequence
        self._model.waiting.append(sequence)
        self.longest_queue = max(self.longest_queue, len(self._model.waiting))
        if not self._stepping:
            self._stepping = True
            self._due = self._loop.time()
            self._loop.call_soon(self._step)

    def cancel(self, job: Job) -> None:
        """Take a job out wherever it is; harmless when it has finished."""
        for key, (known, sequence) in tuple(self._jobs.items()):
            if known is job:
                self._model.remove(sequence)
                del self._jobs[key]
                self._meters.aborted += 1

    def hold(self, job: Job) -> None:
        """The client does not read; the step goes on without it, as vLLM's does."""

    def release(self, job: Job) -> None:
        """It reads again."""

    def _step(self) -> None:
        model = self._model
        if not (model.running or model.waiting):
            self._stepping = False
            return
        if self._knobs.fault == "stall":
            self._due = self._loop.time() + STALL_POLL_S
            self._loop.call_at(self._due, self._step)
            return
        preempted = model.preemptions
        seconds, brought = model.step()
        self._meters.preemptions += model.preemptions - preempted
        self._due += seconds
        self._loop.call_at(self._due, self._deliver, brought)

    def _deliver(self, brought: list[Sequence]) -> None:
        self._meters.step(len(brought))
        now = self._loop.time()
        if now - self._due > 1.0:  # the machine stood still; the lost steps are not made up for
            self._due = now
        for sequence in brought:
            job, _ = self._jobs.get(id(sequence), (None, None))
            if job is None:  # its client has gone meanwhile
                continue
            self._count(job, now)
            if sequence.done:
                del self._jobs[id(sequence)]
                self._meters.finished(job.prompt_tokens, job.generated, now - job.submitted)
            job.on_token(sequence.done)
        self._step()

    def _count(self, job: Job, now: float) -> None:
        if job.generated == 0:
            self._meters.first_token(job.prompt_tokens, now - job.submitted)
        else:
            self._meters.next_token(now - job.last_token)
        job.last_token = now
        job.generated += 1
