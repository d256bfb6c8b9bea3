"""The simulated clock: requests come, wait at the gateway, are worked on by an engine's API server, and answered."""

from __future__ import annotations

import functools
import heapq
import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from fullbatch.simulate.load import SimulatedLoad
from fullbatch.simulate.request import LoadRequest, SimulatedAnswer
from fullbatch.simulate.scheduler import Engine, Scheduler


@dataclass(frozen=True)
class Gate:
    """The gateway before the engines: lets in while prompts and answers fit the KV cache; `added_s`: its own time."""

    added_s: float = 0.001


@dataclass(frozen=True)
class Simulated:
    """All answers, and the most that was in the batch and in the KV cache of one engine."""

    answers: tuple[SimulatedAnswer, ...]
    seconds: float
    batch_peak: int
    kv_peak: float
    preemptions: int


class CannotEnd(Exception):
    """A request that never fits: what it needs, and what there is."""


def simulate(engine: Engine, load: SimulatedLoad, replicas: int = 1, gate: Gate | None = None) -> Simulated:
    """Play `load` against `replicas` of `engine`, each request to the one with the fewest; `gate` None: no gateway."""
    return _Clock([Scheduler(engine) for _ in range(replicas)], load, gate).run()


class _Clock:
    def __init__(self, engines: list[Scheduler], load: SimulatedLoad, gate: Gate | None) -> None:
        self._engines, self._gate = engines, gate
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = itertools.count()
        self.now = 0.0
        self._answers: list[SimulatedAnswer] = []
        self._queues = {user: deque(asked) for user, asked in enumerate(load.users)}
        self._server_free = [0.0] * len(engines)
        self._on_way = [0] * len(engines)
        self._held = [0] * len(engines)  # tokens that the gateway has let in
        self._gate_queue: deque[SimulatedAnswer] = deque()
        self._busy = [False] * len(engines)
        self._check(load)
        for user in self._queues:
            self._ask_next(user)
        for at, asked in load.arrivals:
            self._at(at, functools.partial(self._send, asked, -1))

    def run(self) -> Simulated:
        while self._events:
            self.now, _, event = heapq.heappop(self._events)
            event()
        return Simulated(
            tuple(self._answers), self.now, max(one.batch_peak for one in self._engines),
            max(one.kv_peak for one in self._engines), sum(one.preempted for one in self._answers),
        )  # fmt: skip

    def _check(self, load: SimulatedLoad) -> None:
        room = self._engines[0].engine.kv_tokens
        asked = itertools.chain(itertools.chain.from_iterable(load.users), (one for _, one in load.arrivals))
        largest = max((one.prompt + one.output for one in asked), default=0)
        if largest > room:
            raise CannotEnd(f"a request of {largest:,} tokens never fits the KV cache of {room:,}")

    def _at(self, when: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._number), event))

    def _ask_next(self, user: int) -> None:
        if self._queues[user]:
            self._send(self._queues[user].popleft(), user)

    def _send(self, asked: LoadRequest, user: int) -> None:
        answer = SimulatedAnswer(asked, user, self.now)
        self._answers.append(answer)
        if self._gate is None:
            self._dispatch(answer, self._least())
            return
        self._gate_queue.append(answer)
        self._open_gate()

    def _least(self) -> int:
        return min(range(len(self._engines)), key=lambda one: self._engines[one].outstanding + self._on_way[one])

    def _open_gate(self) -> None:
        while self._gate_queue:
            answer, one = self._gate_queue[0], self._least()
            engine = self._engines[one].engine
            needs = answer.asked.prompt + answer.asked.output
            full = self._held[one] + needs > engine.kv_tokens and self._held[one]
            if full or self._engines[one].outstanding + self._on_way[one] >= engine.seats:
                return
            self._gate_queue.popleft()
            self._held[one] += needs
            self._dispatch(answer, one)

    def _dispatch(self, answer: SimulatedAnswer, one: int) -> None:
        times = self._engines[one].engine.times
        self._on_way[one] += 1
        came = self.now + (self._gate.added_s if self._gate else 0.0)
        self._server_free[one] = max(came, self._server_free[one]) + times.admit_s
        self._at(self._server_free[one] + times.front_s, lambda: self._reach(answer, one))

    def _reach(self, answer: SimulatedAnswer, one: int) -> None:
        self._on_way[one] -= 1
        self._engines[one].add(answer)
        if not self._busy[one]:
            self._begin_step(one)

    def _begin_step(self, one: int) -> None:
        self._busy[one] = not self._engines[one].is_idle
        if self._busy[one]:
            self._at(self.now + self._engines[one].step(), lambda: self._end_step(one))

    def _end_step(self, one: int) -> None:
        # The API server that works on requests is the one that passes tokens on.
        told = max(self.now, self._server_free[one])
        whole = self._engines[one].finish(told)
        if whole:
            self._at(told, lambda: self._tell(whole, one))
        self._begin_step(one)

    def _tell(self, whole: list[SimulatedAnswer], one: int) -> None:
        for answer in whole:
            self._held[one] -= answer.asked.prompt + answer.asked.output
        if self._gate is not None:
            self._open_gate()
        for answer in whole:
            if answer.user >= 0:
                self._ask_next(answer.user)
