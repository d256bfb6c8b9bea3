"""vLLM's scheduler, as far as lengths decide it (v1/core/sched/scheduler.py of 0.32): one engine, step by step.

In each step the requests that run come first, in the order in which they were let in: each answers with one token, or
computes the next piece of its prompt, while the step's tokens last. Where the KV cache has no block for one, the one
let in last is preempted: it loses its blocks and is the first to wait. Then, if nobody was preempted, those that wait
are let in while seats and tokens last and the cache has room for their whole prompt.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from fullbatch.simulate.request import SimulatedAnswer
from fullbatch.simulate.step_times import StepTimes


@dataclass(frozen=True)
class Engine:
    """What is fixed of it: `seats` and `tokens` of a step, `blocks` of `block_size` tokens of KV cache."""

    seats: int
    tokens: int
    blocks: int
    block_size: int
    times: StepTimes

    @property
    def kv_tokens(self) -> int:
        return self.blocks * self.block_size

    def blocks_for(self, tokens: int) -> int:
        return -(-tokens // self.block_size)


class Sequence:
    """A request in an engine: what of it is computed, and in how many blocks that lies."""

    __slots__ = ("answer", "blocks", "computed", "given")

    def __init__(self, answer: SimulatedAnswer) -> None:
        self.answer = answer
        self.given = 0  # tokens of its answer
        self.computed = 0
        self.blocks = 0

    @property
    def known(self) -> int:
        """Tokens that are there to be computed: its prompt, and what it has answered so far."""
        return self.answer.asked.prompt + self.given

    @property
    def is_answering(self) -> bool:
        return self.computed >= self.known - 1 and self.given > 0


class Scheduler:
    """An engine's queue, batch and cache. `step()` says how long the step takes; `finish()` ends it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []
        self.free = engine.blocks
        self.batch_peak = 0
        self.kv_peak = 0.0
        self._planned: list[tuple[Sequence, int]] = []

    @property
    def is_idle(self) -> bool:
        return not self.waiting and not self.running

    @property
    def outstanding(self) -> int:
        return len(self.waiting) + len(self.running)

    def add(self, answer: SimulatedAnswer) -> None:
        self.waiting.append(Sequence(answer))

    def step(self) -> float:
        """Choose what the next step computes; its seconds."""
        budget, preempted = self._run_on(self.engine.tokens)
        if not preempted:
            self._let_in(budget)
        self.batch_peak = max(self.batch_peak, len(self.running))
        self.kv_peak = max(self.kv_peak, 1 - self.free / self.engine.blocks)
        rows, held, prompt = len(self._planned), 0, 0
        for one, tokens in self._planned:
            if one.is_answering:
                held += one.computed
            else:
                prompt += tokens
        return self.engine.times.step(rows, held, prompt)

    def finish(self, now: float) -> list[SimulatedAnswer]:
        """Give the tokens of the step that ends now; the answers that are whole."""
        whole = []
        for one, tokens in self._planned:
            one.computed += tokens
            if one.computed < one.known:
                continue
            one.given += 1
            one.answer.tokens_at.append(now)
            if one.given >= one.answer.asked.output:
                self.running.remove(one)
                self.free += one.blocks
                whole.append(one.answer)
        self._planned = []
        return whole

    def _run_on(self, budget: int) -> tuple[int, bool]:
        """Plan those that run; the tokens left, and whether somebody had to go."""
        self._planned = []
        preempted, number = False, 0
        while number < len(self.running) and budget > 0:
            one = self.running[number]
            tokens = min(one.known - one.computed, budget)
            while not self._take(one, one.computed + tokens):
                last = self.running.pop()
                self._preempt(last)
                preempted = True
                if last is one:
                    return budget, preempted
            self._planned.append((one, tokens))
            budget -= tokens
            number += 1
        return budget, preempted

    def _let_in(self, budget: int) -> None:
        while self.waiting and budget > 0 and len(self.running) < self.engine.seats:
            one = self.waiting[0]
            if self.engine.blocks_for(one.known) > self.free:
                return
            self.waiting.popleft()
            one.computed = min(one.answer.asked.cached, one.known - 1)
            tokens = min(one.known - one.computed, budget)
            self._take(one, one.computed + tokens)
            self.running.append(one)
            self._planned.append((one, tokens))
            budget -= tokens

    def _take(self, one: Sequence, tokens: int) -> bool:
        """Blocks for so many of its tokens; False where there are none."""
        more = self.engine.blocks_for(tokens) - one.blocks
        if more > self.free:
            return False
        if more > 0:
            self.free -= more
            one.blocks += more
        return True

    def _preempt(self, one: Sequence) -> None:
        self.free += one.blocks
        one.blocks = one.computed = 0
        one.answer.preempted += 1
        self.waiting.appendleft(one)
