"""An engine in virtual time: vLLM's scheduling (0.32, v1/core/sched/scheduler.py) with blocks, seats and steps.

Requests that run get a token a step; one that waits begins when a seat is free and its prompt fits; when the cache is
full the youngest one is thrown out and computed anew. A step takes ``step_s`` and ``prefill_s`` for each prompt token
in it, at most ``step_tokens``.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field


@dataclass(eq=False)
class Sequence:
    """One request in the engine. ``events``: tokens that have come out."""

    prompt: int
    output: int
    events: int = 0
    computed: int = 0

    @property
    def done(self) -> bool:
        return self.events >= self.output


@dataclass
class EngineModel:
    """The defaults are Llama 3.1 8B's on a card of 24 GB, as measured on 2026-11-30."""

    seats: int = 56
    kv_tokens: int = 40_560
    block: int = 16
    step_s: float = 0.0048
    prefill_s: float = 0.00004
    step_tokens: int = 2048
    running: list[Sequence] = field(default_factory=list)
    waiting: deque[Sequence] = field(default_factory=deque)
    preemptions: int = 0
    generated: int = 0

    def blocks(self, tokens: int) -> int:
        return -(-tokens // self.block)

    @property
    def used(self) -> int:
        return sum(self.blocks(sequence.computed) for sequence in self.running)

    def usage(self) -> float:
        """The used share of the KV cache, 0 to 1."""
        return self.used / (self.kv_tokens // self.block)

    def remove(self, sequence: Sequence) -> None:
        """Its client has gone."""
        if sequence in self.running:
            self.running.remove(sequence)
        elif sequence in self.waiting:
            self.waiting.remove(sequence)

    def step(self) -> tuple[float, list[Sequence]]:
        """One step: its seconds, and the requests that it brings a token. Those that are done have left."""
        preempted = self.preemptions
        planned, read = self._go_on()
        if self.preemptions == preempted:
            read += self._begin(planned, self.step_tokens - sum(tokens for _, tokens in planned))
        brought = []
        for sequence, tokens in planned:
            sequence.computed += tokens
            if sequence.computed >= sequence.prompt + sequence.events:
                sequence.events += 1
                self.generated += 1
                brought.append(sequence)
                if sequence.done:
                    self.running.remove(sequence)
        return self.step_s + read * self.prefill_s, brought

    def _go_on(self) -> tuple[list[tuple[Sequence, int]], int]:
        planned: list[tuple[Sequence, int]] = []
        used, budget, read = self.used, self.step_tokens, 0
        for sequence in tuple(self.running):
            if sequence not in self.running or budget <= 0:
                continue
            tokens = min(max(1, sequence.prompt + sequence.events - sequence.computed), budget)
            more = self.blocks(sequence.computed + tokens) - self.blocks(sequence.computed)
            while used + more > self.kv_tokens // self.block and sequence in self.running:
                victim = self.running.pop()
                used -= self.blocks(victim.computed)
                victim.computed = 0
                self.preemptions += 1
                self.waiting.appendleft(victim)
            if sequence in self.running:
                planned.append((sequence, tokens))
                used, budget, read = used + more, budget - tokens, read + (tokens if tokens > 1 else 0)
        return planned, read

    def _begin(self, planned: list[tuple[Sequence, int]], budget: int) -> int:
        used, read = self.used + sum(self.blocks(s.computed + t) - self.blocks(s.computed) for s, t in planned), 0
        while self.waiting and len(self.running) < self.seats and budget > 0:
            whole = self.waiting[0].prompt + self.waiting[0].events
            if used + self.blocks(whole) > self.kv_tokens // self.block:
                break
            sequence = self.waiting.popleft()
            self.running.append(sequence)
            tokens = min(whole, budget)
            planned.append((sequence, tokens))
            used, budget, read = used + self.blocks(whole), budget - tokens, read + tokens
        return read
