"""Admission control: grants, queues or rejects requests. Every slot is released exactly once.

Requests wait here and not in the engine, where first come is first served. A slot is granted together with the engine
that it is on: one that has room in its KV cache (`kv_occupancy`) and a seat (`concurrency_limit`). `attained_service`
says whose turn it is, `fair_queue` keeps the order.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from gateway.admission import attained_service, refusal
from gateway.admission.card_clock import Cards
from gateway.admission.fair_queue import FairQueue, Waiting
from gateway.admission.slots import Drains, Engines, Slot
from gateway.config.settings import AdmissionSettings
from gateway.core.cost import cost
from gateway.core.errors import GatewayError
from gateway.core.record import RequestRecord
from gateway.engines.replica import Replica

# While no engine is up, those who wait are kept so long: a restart of the gateway's only engine takes longer, a
# breaker that closes again does not.
NO_ENGINE_GRACE_S = 5.0
# A key counts as active for so long after it came: somebody who reads an answer will come back.
ACTIVE_S = 300.0
# A request that does not fit and has waited so long keeps those behind it waiting: else smaller ones pass it always.
PASSED_S = 2.0


class Admission:
    """All queues and all slots. Only ever called from the event loop's thread."""

    def __init__(
        self, settings: AdmissionSettings, engines: Engines, max_in_flight: int, clock: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._engines = engines
        self._max_in_flight = max_in_flight
        self._clock = clock
        self.attained = self._attained = attained_service.Attained(settings.half_life_s, clock())
        self._window = attained_service.ServiceWindow()
        self._queues: dict[str, FairQueue[Slot]] = {}
        self._no_engine_since: dict[str, float] = {}
        self._drains = Drains()
        self._came: dict[str, float] = {}  # when each active key came last
        self._pumping = self._pump_again = False
        self.running: Counter[str] = Counter()  # by model
        self.running_by_key: Counter[str] = Counter()
        self._running, self._checked_at = 0, clock()  # their sum; when `check` was called last
        self._closed: Callable[[], GatewayError] | None = None
        self.cards = Cards()  # of models that take turns

    @property
    def in_flight(self) -> int:
        """Running and waiting."""
        if not self._queues:  # nobody has ever had to wait
            return self._running
        return self._running + sum(map(len, self._queues.values()))

    def enter(self, record: RequestRecord) -> Slot | None:
        """A slot on an engine at once, or None: then `wait` for one.

        Raises:
            GatewayError: nobody is let in any more.
        """
        if self._closed is not None:
            raise self._closed()
        now, key, call = self._clock(), record.principal.name, record.call
        queue = self._queues.get(call.model)  # made by the first request that has to wait
        self._came[key] = now
        if self.cards.by_model and (card := self.cards.by_model.get(call.model)) is not None:
            card.came(key, set().union(*(self._queues[one].keys() for one in card.costs if one in self._queues)))
        elif self._idle(key):
            self._attained.lift(key, self._active())
        if (
            not queue
            and self.in_flight < self._max_in_flight
            and (engine := self._engines.choose(call, self._whole(key, call.model)))
        ):
            record.waited = 0.0
            return self._grant(Slot(self, record), engine, now)
        return None

    async def wait(self, record: RequestRecord, since: float | None = None) -> Slot:
        """A slot after a wait. ``since``: the clock when it came, of one that has waited before and is on no engine.

        Raises:
            Overloaded: the queue is full, or it took too long; says when to come back.
            NoEngineUp: none has been up for some seconds.
        """
        model, key, now, slot = record.call.model, record.principal.name, self._clock(), Slot(self, record)
        queue = self._queues.get(model)
        if queue is None:
            queue = self._queues[model] = FairQueue(self._settings.ageing_s)
        if self.in_flight >= self._max_in_flight or len(queue) >= self._settings.max_queued:
            victim = queue.make_room_for(key)
            refusal = self._overloaded(model, f"{self.in_flight} requests are running or waiting", "queue_full")
            if victim is None:
                raise refusal
            victim.entry.refuse(refusal)
        since = now if since is None else since
        waiting = Waiting(key, record.call.level, since, since + self._settings.queue_timeout_s, slot)
        record.position = queue.push(waiting) + 1
        granted = slot.wait()
        self.pump()
        try:
            await granted
        except asyncio.CancelledError:
            # The grant may have come in the same turn of the loop as the client's leaving.
            if granted.done() and not granted.cancelled() and granted.exception() is None:
                slot.release()
            queue.remove(waiting)
            raise
        return slot

    def close(self, refusal: Callable[[], GatewayError]) -> None:
        """Let nobody in any more, and refuse those who wait."""
        self._closed = refusal
        for model in self._queues:
            self.refuse(model, refusal, lambda _: True)

    def waiters(self, model: str) -> list[Waiting[Slot]]:
        """Those who wait for a model, the most urgent first, then by age."""
        return sorted(self._queues.get(model, ()), key=lambda waiting: (waiting.level, waiting.since))

    def refuse(self, model: str, error: Callable[[], GatewayError], whom: Callable[[Waiting[Slot]], bool]) -> None:
        """Tell some of those who wait for a model that it will not be."""
        for waiting in filter(whom, self.waiters(model)):
            if self._queues[model].remove(waiting):
                waiting.entry.refuse(error())

    def change(self, settings: AdmissionSettings, max_in_flight: int) -> None:
        """Other numbers from now on; who waits keeps the time limit that it came with."""
        self._attained.fade(settings.half_life_s, self._clock())
        self.cards.fade(settings.half_life_s, self._clock())
        for queue in self._queues.values():
            queue.ageing_s = settings.ageing_s
        self._settings, self._max_in_flight = settings, max_in_flight

    def check(self, now: float) -> None:
        """Ten times a second: time limits, and slots that came from elsewhere (called by the ticker)."""
        waiting_keys: set[str] = set()
        elapsed, self._checked_at = now - self._checked_at, now
        for model, queue in self._queues.items():
            if not queue:
                continue
            queue.put_off(elapsed if self._engines.away(model) else 0.0, now)  # a load is no time in the queue
            # As many as the plan is for are kept, however long it takes: there is nobody to make room for.
            for late in queue.late(now, self.in_flight - self._settings.users):
                waited = now - late.since
                late.entry.refuse(self._overloaded(model, f"not served within {waited:.0f} s", "queue_timeout"))
            self._spill(queue, now)
            self._give_up_without_engine(model, queue, now)
            waiting_keys.update(queue.most_urgent())
        self._window.sample(waiting_keys, now)
        self._came = {key: at for key, at in self._came.items() if now - at < ACTIVE_S}
        self.pump()

    def pump(self) -> None:
        """Grant what can be granted: after a slot was given back, or an engine came up or takes more.

        What is given back meanwhile is granted in another round, not from within: a thousand clients that leave at once
        are no thousand calls deep.
        """
        self._pump_again = True
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._pump_again:
                self._pump_again = False
                for model, queue in self._queues.items():
                    while queue and self._grant_next(model, queue):
                        pass
        finally:
            self._pumping = False

    def weights(self) -> dict[str, dict[str, float]]:
        """The keys that wait, by model, each with its weight."""
        return {model: {one.key: one.entry.record.principal.weight for one in q} for model, q in self._queues.items()}

    def waiting(self) -> dict[str, dict[str, int]]:
        """How many requests wait, by model and key."""
        return {model: queue.keys() for model, queue in self._queues.items()}

    def jain(self) -> float:
        """Jain's index over the keys that were backlogged in the last minute."""
        return self._window.jain(self._clock())

    def drain_rate(self, model: str) -> float:
        """Requests a second that have left the engines lately."""
        return self._drains.rate(model, self._clock())

    def limit(self, model: str) -> int:
        """Requests for the model that may be in the engines at once."""
        return self._engines.limit(model)

    def left(self, slot: Slot) -> None:
        """Called by a slot when it is given back."""
        now, who, model, usage = self._clock(), slot.record.principal, slot.record.call.model, slot.record.usage
        slot.engine.give(slot)
        self._running -= 1
        self.running[model] -= 1
        self.running_by_key[who.name] -= 1
        if not self.running_by_key[who.name]:
            del self.running_by_key[who.name]
        self._drains.left(model, now)
        # The estimate that was charged is corrected.
        served = cost(usage.prompt_tokens, usage.completion_tokens) if usage is not None else 0.0
        if not self.cards.by_model or not self.cards.gave(model, who, served - slot.work, now):
            self._attained.charge(who.name, served - slot.work, who.weight, now)
        if usage is not None:
            self._window.served(who.name, served, who.weight, now)
        if self._queues:
            self.pump()

    def moved(self, slot: Slot, engine: Replica) -> None:
        """The slot is on another engine now."""
        slot.engine.give(slot)
        engine.take(slot)
        slot.engine = engine

    def _idle(self, key: str) -> bool:
        return key not in self.running_by_key and not any(queue.has(key) for queue in self._queues.values())

    def _active(self) -> set[str]:
        return set(self.running_by_key).union(*(queue.keys() for queue in self._queues.values()))

    def _whole(self, key: str, model: str) -> bool:
        """Whether this key may have the last slots too: while several keys are active they are for those with few.

        Without them somebody who comes to a full engine would wait until one of the others' long answers ends.
        """
        return len(self._came) < 2 or self.running_by_key[key] < self._engines.reserve(model)

    def _grant_next(self, model: str, queue: FairQueue[Slot]) -> bool:
        if not self._engines.has_room(model, whole=True):
            return False
        open_to_all = self._engines.has_room(model, whole=False)

        def may(key: str) -> bool:
            return open_to_all or self._whole(key, model)

        now = self._clock()
        rank = (self.cards.by_model[model].attained if model in self.cards.by_model else self._attained).rank
        for waiting in queue.candidates(now, rank, may):
            if waiting.entry.gone:
                return queue.remove(waiting)
            whole = self._whole(waiting.key, model)
            engine = self._engines.choose(waiting.entry.record.call, whole)
            if engine is not None:
                queue.remove(waiting)
                waiting.entry.record.load_wait = away = waiting.put_off
                waiting.entry.record.waited = now - waiting.since - away
                self._grant(waiting.entry, engine, now).grant()
                return True
            kept_out = not whole and self._engines.reserve(model)
            if not kept_out and now - waiting.since >= PASSED_S:
                break
        return False

    def _grant(self, slot: Slot, engine: Replica, now: float) -> Slot:
        who = slot.record.principal
        self._running += 1
        self.running[slot.record.call.model] += 1
        self.running_by_key[who.name] += 1
        if not self.cards.by_model or not self.cards.took(slot.record.call.model, who, slot.work, now):
            self._attained.charge(who.name, slot.work, who.weight, now)
        slot.began = now
        slot.engine = engine
        engine.take(slot)
        return slot

    def _spill(self, queue: FairQueue[Slot], now: float) -> None:
        """Those that may leave for a server that is not ours."""
        for waiting in tuple(queue):
            slot = waiting.entry
            engine = None if slot.gone else self._engines.spill(slot.record.call, waiting.key, now - waiting.since)
            if engine is not None:
                queue.remove(waiting)
                slot.record.waited = now - waiting.since
                self._grant(slot, engine, now).grant()

    def _give_up_without_engine(self, model: str, queue: FairQueue[Slot], now: float) -> None:
        if known := self._engines.limit(model) > 0 or self._engines.waited_for(model):
            self._no_engine_since.pop(model, None)
        gone = not known and now - self._no_engine_since.setdefault(model, now) >= NO_ENGINE_GRACE_S
        for waiting in tuple(queue):
            error = self._engines.none_up(model) if gone else self._engines.refusal(waiting.entry.record.call)
            if error is not None:
                queue.remove(waiting)
                waiting.entry.refuse(error)

    def _overloaded(self, model: str, why: str, reason: str) -> GatewayError:
        """Refused; come back when those who wait now will have been served, at the pace of the last seconds."""
        return refusal.overloaded(len(self._queues[model]) + 1, self.drain_rate(model), why, reason)
