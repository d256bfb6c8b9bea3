"""One card in turns: asks the policy, and carries out what it says by way of the launcher.

    idle -> draining -> unloading -> loading -> proving -> idle

Nothing is decided on a picture of before: what is loaded is asked again whenever this begins, also after a failure of
its own, so a gateway that was killed goes on where it was, and nothing is started twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from gateway.admission.controller import Admission
from gateway.config.engine_settings import EngineSettings
from gateway.config.settings import Settings
from gateway.core.errors import ModelFailed, ModelLoading
from gateway.engines.registry import EngineRegistry
from gateway.residency.load_times import LoadTimes
from gateway.residency.policy import Demand, Member, Policy, ResidencyRules, Switch, Waiter
from gateway.telemetry.turn_metrics import TurnMetrics
from gateway.turns.launcher_client import ASLEEP, ENDED, LOADED, AnothersCard, EngineState, LauncherClient, NoLauncher
from gateway.turns.steps import Steps, TurnFailed

# How often the policy is asked while somebody waits for another model, and the launcher while nobody does.
STEP_S, LOOK_S = 0.1, 1.0
# Until one has been seen: how long running answers take to run out.
DRAIN_GUESS_S = 10.0
# An engine that ends so soon after its load would be loaded again and again.
YOUNG_S = 60.0
# One that has been killed decides for so long still (launcher/lease.py), and a little more: the next one waits for it.
ANOTHERS_S = 5


@dataclass(frozen=True, slots=True)
class Around:
    """What all cards share."""

    registry: EngineRegistry
    admission: Admission
    metrics: TurnMetrics
    loop: asyncio.AbstractEventLoop


class CardSwitcher:
    """``phase``: see above, of a switch to ``to`` since ``phase_since``; ``fault``: why the launcher is not asked."""

    def __init__(self, name: str, engines: Sequence[EngineSettings], settings: Settings, around: Around) -> None:
        residency = settings.residency
        self.name = name
        self.engines = {engine.turn.name: engine for engine in engines if engine.turn is not None}
        self.settings = residency
        self._around = around
        members: dict[str, Member] = {}
        self._launcher = LauncherClient("", "")
        for engine in engines:
            assert (turn := engine.turn) is not None
            members[turn.name] = Member(LoadTimes(turn.wake_guess_s, turn.cold_guess_s), turn.sleep)
            self._launcher = LauncherClient(turn.launcher, around.registry.id)
        rules = ResidencyRules(
            residency.patience_s, residency.residency_factor, settings.admission.ageing_s, residency.switches_per_hour
        )
        self.policy = Policy(members, rules)
        self.states: dict[str, EngineState] = {name: EngineState() for name in members}
        self.fault = "not asked yet"
        self.phase, self.to, self.phase_since = "idle", "", 0.0
        self.unloads: set[str] = set()
        self.drains = LoadTimes(DRAIN_GUESS_S, DRAIN_GUESS_S)
        self._nudged = asyncio.Event()
        self._looked_at = 0.0
        self.steps = Steps(self, self._launcher, around)
        self._losing: float | None = None
        self._anothers_since: float | None = None
        around.metrics.know(name, map(self.label, members))

    @property
    def anothers(self) -> bool:
        """Whether another gateway decides here, and has not just been killed: then whoever waits is told so."""
        return self._anothers_since is not None and self.now() - self._anothers_since >= ANOTHERS_S

    def seen(self, fault: str) -> None:
        """The launcher has been asked, or could not be. ``fault``: why nothing can be switched, empty where it can."""
        self.fault = fault
        if not self._launcher.another:
            self._anothers_since = None
        elif self._anothers_since is None:
            self._anothers_since = self.now()

    def now(self) -> float:
        return self._around.loop.time()

    def enter(self, phase: str, to: str = "") -> None:
        self.phase, self.to, self.phase_since = phase, to, self.now()

    def label(self, name: str) -> str:
        """What metrics call a model: what clients call it, as all other series do."""
        return self.engines[name].models[0]

    def nudge(self) -> None:
        """Something is wanted: look now."""
        self._nudged.set()

    def demands(self) -> dict[str, Demand]:
        """Who wants what of this card's models."""
        return {name: self._demand(engine) for name, engine in self.engines.items()}

    def _demand(self, engine: EngineSettings) -> Demand:
        admission, registry = self._around.admission, self._around.registry
        waiters = [
            Waiter(one.key, one.level, one.since)
            for model in engine.models
            for one in admission.waiters(model)
            if not one.entry.gone
        ]
        levels = [one.level for address in registry.addresses(engine.name) for one in address.target.underway]
        running = sum(admission.running[model] for model in engine.models)
        return Demand(waiters, running, min(levels, default=1) if running else 99)

    def rank(self, key: str) -> float:
        first = next(iter(self.engines.values())).models[0]
        return self._around.admission.cards.service(first, key)

    async def run(self) -> None:
        """Until it is cancelled."""
        await self.steps.settle()
        while True:
            try:
                await self._act()
            except AnothersCard:
                await self.steps.settle()
            except NoLauncher as error:
                self.fault = str(error)
                await asyncio.sleep(LOOK_S)
                await self.steps.settle()
            busy = self.policy.wanted or any(self._around.admission.waiters(model) for model in self._away())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._nudged.wait(), STEP_S if busy else LOOK_S)
            self._nudged.clear()

    def _away(self) -> list[str]:
        return [model for engine in self.engines.values() for model in engine.models if self._away_now(model)]

    def _away_now(self, model: str) -> bool:
        return self._around.registry.away(model)

    async def _act(self) -> None:
        if self.now() - self._looked_at >= LOOK_S:
            self._looked_at = self.now()
            await self._look()
        if self._launcher.another:  # nothing is switched, and what is loaded is served
            return
        if self.unloads:
            await self._unload(self.unloads.pop())
        elif (switch := self.policy.choose(self.now(), self.demands(), self.rank)) is not None:
            await self._switch(switch)

    async def _look(self) -> None:
        """Whether what is loaded is still there."""
        await self.steps.see()
        resident = self.policy.resident
        loaded = [name for name, one in self.states.items() if one.state == LOADED]
        if self._launcher.another:
            still = all(one.state in (LOADED, ASLEEP, *ENDED) for one in self.states.values())
            if not still or loaded != ([] if resident is None else [resident]):
                await self.steps.settle()
            return
        if resident is None and not loaded:
            return
        if resident is None:  # somebody else has loaded it
            await self.steps.settle()
        elif resident not in loaded:
            self._around.metrics.failures[self.label(resident), "died"] += 1
            self._around.registry.rest(self.engines[resident].name, "its engine has ended")
            young = self.now() - self.policy.since < YOUNG_S
            why = self.states[resident].why or f"its engine is {self.states[resident].state}"
            self.policy.failed(resident, why, self.now()) if young else self.policy.adopt(None, self.now())
            if young:
                self.refuse_failed(resident)

    async def _switch(self, switch: Switch) -> None:
        began, old = self.now(), self.policy.resident
        self._losing = began
        try:
            if old is not None:
                if not await self.steps.drain(old, switch):
                    return
                self.drains.record("cold", self.now() - began)
                await self.steps.unload(old)
            if switch.cause:
                self.policy.budget.caused(switch.cause, self.now())
            self._around.metrics.switches[self.label(switch.to), switch.reason] += 1
            await self._load(switch.to, old)
        finally:
            self._lose()
            self._losing = None
            self.enter("idle")

    def _lose(self) -> None:
        """Count what a switch has cost until now: one that takes minutes is seen while it does."""
        if self._losing is not None:
            now = self.now()
            self._around.metrics.lose(self.name, now - self._losing, now)
            self._losing = now

    async def _load(self, name: str, old: str | None) -> None:
        try:
            await self.steps.load(name)
        except TurnFailed as failure:
            self.policy.failed(name, failure.why, self.now())
            self.refuse_failed(name)
            if old is not None and old != name and self.policy.wanted is None:
                self.policy.wanted = old  # what was there comes back

    async def _unload(self, name: str) -> None:
        """An operator's wish: its answers run out, and its memory is free."""
        try:
            if name == self.policy.resident:
                await self.steps.drain(name, None)
            await self.steps.stop(name)
        finally:
            self.enter("idle")

    def refuse_failed(self, name: str) -> None:
        """Tell all who wait for it."""
        for model in self.engines[name].models:
            self._around.admission.refuse(model, lambda: self.failure(name), lambda _: True)

    def turn_away_others(self) -> None:
        """Tell all who wait for another model than the pinned one."""
        for name, engine in self.engines.items():
            for model in engine.models if name not in (self.policy.pinned, self.policy.resident) else ():
                self._around.admission.refuse(model, partial(self.loading, name, math.inf), lambda _: True)

    def failure(self, name: str) -> ModelFailed:
        backoff = self.policy.members[name].backoff
        seconds = max(1, math.ceil(backoff.retry_at - self.now()))
        return ModelFailed(f"model '{name}' {backoff.why}; it is tried again in {seconds} s", retry_after=seconds)

    def not_ours(self, name: str) -> ModelLoading:
        why = f"model '{name}' is not loaded, and another gateway decides on '{self.name}'; ask that one"
        return ModelLoading(why, retry_after=ANOTHERS_S)

    def loading(self, name: str, wait: float) -> ModelLoading:
        if math.isinf(wait):
            return ModelLoading(f"model '{name}' is not loaded: '{self.policy.pinned}' is pinned", retry_after=60)
        seconds = max(1, math.ceil(wait))
        return ModelLoading(f"model '{name}' is not loaded; it would be in about {seconds} s", retry_after=seconds)

    def wait_s(self, name: str, waiter: Waiter) -> float:
        """About how long somebody waits for a model; infinite where nothing will bring it."""
        now, demands, drain = self.now(), self.demands(), self.drains.seconds("cold")
        if self.phase == "idle" or self.to == "":
            return self.policy.wait_s(now, waiter, name, demands, drain)
        left = self.policy.members[self.to].load_s - (now - self.phase_since)
        if self.phase in ("draining", "unloading"):
            left += drain
        left = max(1.0, left)
        if self.to == name:
            return left
        seats = self.engines[self.to].max_running or self.engines[self.to].max_num_seqs
        rules, member = self.policy.rules, self.policy.members[name]
        stays = member.turn_s * rules.residency_factor if len(demands[self.to].waiters) > seats else drain
        return max(rules.patience_s - (now - waiter.since), left + stays) + drain + member.load_s

    def check(self, now: float) -> None:
        """Ten times a second: who has waited for a model for too long (called by the ticker)."""
        self._lose()
        limit = self.settings.load_timeout_s
        metrics = self._around.metrics
        for name, engine in self.engines.items():
            waiting = [one for model in engine.models for one in self._around.admission.waiters(model)]
            label = self.label(name)
            metrics.waiting[label] = len(waiting)
            metrics.first_wait[label] = now - min((one.since for one in waiting), default=now)
            metrics.states[label] = self.state(name)
            if waiting and self.anothers and self.to != name:
                for model in filter(self._away_now, engine.models):
                    self._around.admission.refuse(model, partial(self.not_ours, name), lambda _: True)
            elif any(one.put_off >= limit for one in waiting):
                wait = self.wait_s(name, Waiter(waiting[0].key, waiting[0].level, now))
                for model in engine.models:
                    self._around.admission.refuse(
                        model, partial(self.loading, name, wait), lambda one: one.put_off >= limit
                    )

    def state(self, name: str) -> str:
        """stopped, loading, ready, asleep or failed."""
        if self.to == name and self.phase in ("loading", "proving"):
            return "loading"
        if self.policy.members[name].backoff.why:
            return "failed"
        if name == self.policy.resident:
            return "ready"
        return "asleep" if self.states[name].state == ASLEEP else "stopped"
