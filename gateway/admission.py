"""Who may go to an engine now, who waits, and who is refused. A place is given back exactly once.

Requests wait here and not in the engine, where first come is first served. A place is granted together with the
engine that it is on. `fairness` says whose turn it is, `queueing` keeps the order.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from gateway import fairness
from gateway.address import Address
from gateway.call import Call, Principal, Usage
from gateway.errors import GatewayError, NoEngineUp, Overloaded
from gateway.places import Drain, Place, Ticket, reserve_of
from gateway.queueing import FairQueue, Waiting
from gateway.settings import AdmissionSettings

# While no engine is up, those who wait are kept so long: a restart of the gateway's only engine takes longer, a
# breaker that closes again does not.
NO_ENGINE_GRACE_S = 5.0
MAX_RETRY_AFTER_S = 60
# What an answer is taken to cost while nothing is known about the key: a chat's.
FIRST_GUESS_TOKENS = 200.0
_GUESS_MEMORY = 0.9


class Engines(Protocol):
    """What admission asks of the engines."""

    def capacity(self, model: str) -> tuple[int, int]:
        """Places on the engines that serve the model and are up, and how many of them are taken."""

    def choose(self, call: Call) -> Address | None:
        """An engine with a free place; None if there is none."""

    def none_up(self, model: str) -> NoEngineUp:
        """What to tell somebody while no engine that serves the model is up."""


class Admission:
    """All queues and all places. Only ever called from the event loop's thread."""

    def __init__(
        self, settings: AdmissionSettings, engines: Engines, max_in_flight: int, clock: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._engines = engines
        self._max_in_flight = max_in_flight
        self._clock = clock
        self._attained = fairness.Attained(settings.half_life_s, clock())
        self._window = fairness.Window()
        self._queues: dict[str, FairQueue[Ticket]] = {}
        self._no_engine_since: dict[str, float] = {}
        self._drains: dict[str, Drain] = {}
        self._guess: dict[str, float] = {}
        self.running: Counter[str] = Counter()  # by model
        self.running_by_key: Counter[str] = Counter()
        self._running = 0  # their sum
        self.several_keys = False
        self._closed: Callable[[], GatewayError] | None = None

    @property
    def in_flight(self) -> int:
        """Running and waiting."""
        return self._running + sum(map(len, self._queues.values()))

    def enter(self, who: Principal, call: Call) -> Place | None:
        """A place on an engine at once, or None: then `wait` for one.

        Raises:
            GatewayError: nobody is let in any more.
        """
        if self._closed is not None:
            raise self._closed()
        now = self._clock()
        queue = self._queues.get(call.model)  # made by the first request that has to wait
        if self._idle(who.name):
            self._attained.lift(who.name, self._active())
        if (
            not queue
            and self.in_flight < self._max_in_flight
            and self._may(who.name, call.model)
            and (engine := self._engines.choose(call))
        ):
            return self._grant(Ticket(who, call), engine, now)
        return None

    async def wait(self, who: Principal, call: Call) -> Place:
        """A place after a wait.

        Raises:
            Overloaded: the queue is full, or it took too long; says when to come back.
            NoEngineUp: none has been up for some seconds.
        """
        model, key, now, ticket = call.model, who.name, self._clock(), Ticket(who, call)
        queue = self._queues.get(model)
        if queue is None:
            queue = self._queues[model] = FairQueue(self._settings.ageing_s)
        if self.in_flight >= self._max_in_flight or len(queue) >= self._settings.max_queued:
            victim = queue.make_room_for(key)
            refusal = self._overloaded(model, f"{self.in_flight} requests are running or waiting", "queue_full")
            if victim is None:
                raise refusal
            victim.ticket.refuse(refusal)
        waiting = Waiting(key, ticket.call.level, now, now + self._settings.queue_timeout_s, ticket)
        ticket.position = queue.push(waiting) + 1
        granted = ticket.wait()
        self.pump()
        try:
            return await granted
        except asyncio.CancelledError:
            # The grant may have come in the same turn of the loop as the client's leaving.
            if granted.done() and not granted.cancelled() and granted.exception() is None:
                granted.result().release(None)
            queue.remove(waiting)
            raise

    def close(self, refusal: Callable[[], GatewayError]) -> None:
        """Let nobody in any more, and refuse those who wait."""
        self._closed = refusal
        for queue in self._queues.values():
            for waiting in tuple(queue):
                queue.remove(waiting)
                waiting.ticket.refuse(refusal())

    def change(self, settings: AdmissionSettings, max_in_flight: int) -> None:
        """Other numbers from now on; who waits keeps the time limit that it came with."""
        self._attained.fade(settings.half_life_s, self._clock())
        for queue in self._queues.values():
            queue.ageing_s = settings.ageing_s
        self._settings, self._max_in_flight = settings, max_in_flight

    def check(self, now: float) -> None:
        """Ten times a second: time limits, and places that came from elsewhere (called by the sweeper)."""
        waiting_keys: set[str] = set()
        for model, queue in self._queues.items():
            if not queue:
                continue
            for late in queue.late(now):
                waited = now - late.since
                late.ticket.refuse(self._overloaded(model, f"not served within {waited:.0f} s", "queue_timeout"))
            self._give_up_without_engine(model, queue, now)
            waiting_keys.update(queue.most_urgent())
        self._window.sample(waiting_keys, now)
        self.pump()

    def pump(self) -> None:
        """Grant what can be granted: after a place was given back, or an engine came up or takes more."""
        for model, queue in self._queues.items():
            while queue and self._pump_one(model, queue):
                pass

    def waiting(self) -> dict[str, dict[str, int]]:
        """How many requests wait, by model and key."""
        return {model: queue.keys() for model, queue in self._queues.items()}

    def jain(self) -> float:
        """Jain's index over the keys that were backlogged in the last minute."""
        return self._window.jain(self._clock())

    def drain_rate(self, model: str) -> float:
        """Requests a second that have left the engines lately."""
        return self._drains[model].rate(self._clock()) if model in self._drains else 0.0

    def limit(self, model: str) -> int:
        """Requests for the model that may be in the engines at once."""
        return self._engines.capacity(model)[0]

    def left(self, place: Place, usage: Usage | None) -> None:
        """Called by a place when it is given back."""
        now, who, call = self._clock(), place.ticket.who, place.ticket.call
        place.engine.give(place.charged)
        self._running -= 1
        self.running[call.model] -= 1
        self.running_by_key[who.name] -= 1
        if not self.running_by_key[who.name]:
            del self.running_by_key[who.name]
        drain = self._drains.get(call.model)
        if drain is None:
            drain = self._drains[call.model] = Drain()
        drain.left(now)
        if usage is None:
            self._attained.charge(who.name, -place.charged, who.weight, now)
        else:
            self._settle(place, usage, now)
        self.pump()

    def moved(self, place: Place, engine: Address) -> None:
        """The place is on another engine now."""
        place.engine.give(place.charged)
        engine.take(place.charged)
        place.engine = engine

    def _idle(self, key: str) -> bool:
        return key not in self.running_by_key and not any(queue.has(key) for queue in self._queues.values())

    def _active(self) -> set[str]:
        return set(self.running_by_key).union(*(queue.keys() for queue in self._queues.values()))

    def _may(self, key: str, model: str) -> bool:
        """Whether there is a place for this key: the last ones are kept for keys that have few.

        Without them somebody who comes to a full engine would wait until one of the others' long answers ends.
        """
        places, taken = self._engines.capacity(model)
        kept = reserve_of(places) if self.several_keys else 0
        return taken < places - kept or (taken < places and self.running_by_key[key] < kept)

    def _pump_one(self, model: str, queue: FairQueue[Ticket]) -> bool:
        def may(key: str) -> bool:
            return self._may(key, model)

        places, taken = self._engines.capacity(model)
        if taken >= places:
            return False
        now = self._clock()
        waiting = queue.pop(now, self._attained.rank, may)
        if waiting is None:
            return False
        engine = self._engines.choose(waiting.ticket.call)
        if engine is None:
            queue.push(waiting)
            return False
        waiting.ticket.grant(self._grant(waiting.ticket, engine, now, waited=now - waiting.since))
        return True

    def _grant(self, ticket: Ticket, engine: Address, now: float, waited: float = 0.0) -> Place:
        who, call = ticket.who, ticket.call
        self._running += 1
        self.running[call.model] += 1
        self.running_by_key[who.name] += 1
        output = self._guess.get(who.name, FIRST_GUESS_TOKENS)
        if call.output_tokens is not None:
            output = min(output, call.output_tokens)
        charged = fairness.cost(call.prompt_tokens, output)
        self._attained.charge(who.name, charged, who.weight, now)
        engine.take(charged)
        return Place(self, ticket, engine, charged, waited)

    def _settle(self, place: Place, usage: Usage, now: float) -> None:
        """Correct the estimate that was charged, and learn from it."""
        who = place.ticket.who
        served = fairness.cost(usage.prompt_tokens, usage.completion_tokens)
        self._attained.charge(who.name, served - place.charged, who.weight, now)
        self._window.served(who.name, served, who.weight, now)
        if place.ticket.call.output_tokens == 0:  # embeddings say nothing about how long a chat will be
            return
        before = self._guess.get(who.name, FIRST_GUESS_TOKENS)
        self._guess[who.name] = _GUESS_MEMORY * before + (1 - _GUESS_MEMORY) * usage.completion_tokens

    def _give_up_without_engine(self, model: str, queue: FairQueue[Ticket], now: float) -> None:
        if self._engines.capacity(model)[0]:
            self._no_engine_since.pop(model, None)
        elif now - self._no_engine_since.setdefault(model, now) >= NO_ENGINE_GRACE_S:
            for waiting in tuple(queue):
                queue.remove(waiting)
                waiting.ticket.refuse(self._engines.none_up(model))

    def _overloaded(self, model: str, why: str, reason: str) -> GatewayError:
        """Refused; come back when those who wait now will have been served, at the pace of the last seconds."""
        rate = self.drain_rate(model)
        ahead = len(self._queues[model]) + 1
        seconds = min(MAX_RETRY_AFTER_S, max(1, math.ceil(ahead / rate))) if rate else 1
        return Overloaded(f"overloaded: {why}; try again in {seconds} s", retry_after=seconds, reason=reason)
