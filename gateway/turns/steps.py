"""The steps of a switch: what is asked of the launcher, and what is waited for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.core.errors import TurnedAway
from gateway.core.priority import BATCH, PRIORITIES
from gateway.engines.circuit_breaker import BreakerState
from gateway.residency.load_times import Kind
from gateway.residency.policy import Switch
from gateway.turns.launcher_client import (
    ASLEEP,
    ENDED,
    FAILED,
    LOADED,
    AnothersCard,
    EngineState,
    LauncherClient,
    NoLauncher,
)

if TYPE_CHECKING:
    from gateway.turns.card import Around, CardSwitcher

POLL_S, DRAIN_POLL_S = 0.1, 0.05
# The launcher's own limits end a start or a stop long before.
ACTION_S = 3600.0
# Something else is being done there: the same is asked again for so long.
REFUSED_S = 60.0
# Requests that have just ended may still be in an engine's own count: it is asked to sleep again for so long.
LEFT_S = 10.0
PROVE_S = 120.0
RETRY_S = 1.0


class TurnFailed(Exception):
    """A model could not be loaded. ``why``: in words."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Steps:
    """Of one card."""

    def __init__(self, card: CardSwitcher, launcher: LauncherClient, around: Around) -> None:
        self._card = card
        self._launcher = launcher
        self._registry = around.registry
        self._admission = around.admission
        self._metrics = around.metrics

    async def see(self) -> None:
        """Ask in what state all are.

        Raises:
            NoLauncher
        """
        card = self._card
        found = await self._launcher.state()
        card.seen(str(AnothersCard()) if self._launcher.another else "")
        for name in card.engines:
            card.states[name] = found.get(name, EngineState("stopped", "its launcher does not know it"))
            asleep = card.states[name].state == ASLEEP
            card.policy.members[name].next_kind = "wake" if asleep else "cold"

    async def settle(self) -> None:
        """Find out what is loaded, however long the launcher takes to be there, and go on from that."""
        card = self._card
        while True:
            try:
                await self.see()
            except NoLauncher as error:
                card.fault = str(error)
                await asyncio.sleep(RETRY_S)
                continue
            moving = next((name for name, one in card.states.items() if one.state in ("starting", "waking")), None)
            if moving is None and all(one.state != "stopping" for one in card.states.values()):
                break
            if card.phase == "idle":
                card.enter("loading" if moving else "unloading", moving or "")
            self._rest_all_but_loaded()
            await asyncio.sleep(POLL_S)
        card.enter("idle")
        loaded = next((name for name, one in card.states.items() if one.state == LOADED), None)
        for engine in card.engines.values():
            self._registry.admit(engine.name, True)
        self._rest_all_but_loaded()
        if loaded is not None and (loaded != card.policy.resident or self._rests(loaded)):
            self._registry.load(card.engines[loaded].name)
        if loaded != card.policy.resident:
            card.policy.adopt(loaded, card.now())

    def _rest_all_but_loaded(self) -> None:
        for name, engine in self._card.engines.items():
            if self._card.states[name].state != LOADED:
                self._registry.rest(engine.name, "takes turns, and is not loaded")

    def _rests(self, name: str) -> bool:
        return any(one.state == "resting" for one in self._registry.addresses(self._card.engines[name].name))

    async def drain(self, name: str, switch: Switch | None) -> bool:
        """Let its answers run out; False if nobody waits for the other one any more, and it goes on."""
        card, engine = self._card, self._card.engines[name]
        card.enter("draining", "" if switch is None else switch.to)
        self._registry.admit(engine.name, False)
        began = card.now()
        while (demand := card.demands())[name].running:
            if switch is not None and switch.reason != "priority" and not demand[switch.to].waiters:
                self._registry.admit(engine.name, True)
                self._admission.pump()
                return False
            if switch is not None and card.now() - began >= card.settings.drain_s:
                if demand[switch.to].level == PRIORITIES["interactive"]:
                    self._cut_batch(name, switch.to)
            await asyncio.sleep(DRAIN_POLL_S)
        return True

    def _cut_batch(self, name: str, other: str) -> None:
        error = TurnedAway(f"model '{name}' had to make room for '{other}'; send it again", retry_after=30)
        for address in self._registry.addresses(self._card.engines[name].name):
            for request in tuple(address.target.underway):
                if request.level >= BATCH:
                    request.stop(error)

    async def unload(self, name: str) -> None:
        """Put it to sleep where it can, else stop it."""
        card, engine = self._card, self._card.engines[name]
        card.enter("unloading", card.to)
        if engine.turn is None or not engine.turn.sleep:
            await self.stop(name)
            return
        self._registry.rest(engine.name, "asleep")
        until = card.now() + LEFT_S
        while (state := await self._command(name, "sleep", {ASLEEP, LOADED, *ENDED})).state == LOADED:
            if card.now() > until:
                await self.stop(name)
                return
            await asyncio.sleep(POLL_S)
        if state.state == FAILED:  # its process has been ended, so the card is free
            self._metrics.failures[card.label(name), "sleep"] += 1
        self._gone(name)

    async def stop(self, name: str) -> None:
        """End its process."""
        self._registry.rest(self._card.engines[name].name, "stopped")
        if (await self._command(name, "stop", ENDED)).state not in ENDED:
            self._metrics.failures[self._card.label(name), "stop"] += 1
        self._gone(name)

    def _gone(self, name: str) -> None:
        card = self._card
        self._registry.admit(card.engines[name].name, True)
        if card.policy.resident == name:
            card.policy.adopt(None, card.now())

    async def load(self, name: str) -> None:
        """Wake or start it, and have it bring a token; a wake that goes wrong in any way is followed by a cold start.

        Raises:
            TurnFailed
            NoLauncher
        """
        card = self._card
        await self.see()
        kinds: tuple[Kind, ...] = ("wake", "cold") if card.states[name].state == ASLEEP else ("cold",)
        fault = ""
        for kind in kinds:
            began = card.now()
            card.policy.members[name].next_kind = kind
            card.enter("loading", name)
            state = await self._command(name, "wake" if kind == "wake" else "start", {LOADED, *ENDED})
            fault, what = "", "wake" if kind == "wake" else "start"
            if state.state != LOADED:
                fault = _told(state)
            else:
                card.enter("proving", name)
                fault, what = await self._prove(name), "canary"
            if not fault:
                seconds = card.now() - began
                card.policy.loaded(name, kind, seconds, card.now(), bool(card.demands()[name].waiters))
                self._metrics.loaded(card.label(name), kind, seconds)
                self._admission.pump()
                return
            self._metrics.failures[card.label(name), what] += 1
            await self.stop(name)
        raise TurnFailed(fault)

    async def _prove(self, name: str) -> str:
        """Have it bring a token before the first request; what is wrong, or empty."""
        card, engine = self._card, self._card.engines[name]
        began = card.now()
        self._registry.load(engine.name)
        while card.now() - began < PROVE_S:
            addresses = self._registry.addresses(engine.name)
            if any(address.state == "up" for address in addresses):
                return ""
            for address in addresses:
                if address.tried_at >= began and address.circuit_breaker.state is BreakerState.OPEN:
                    return f"is loaded and brings no token: {address.reason}"
            await asyncio.sleep(DRAIN_POLL_S)
        return f"is loaded and brought no token within {PROVE_S:g} s"

    async def _command(self, name: str, action: str, until: set[str] | frozenset[str]) -> EngineState:
        """Have it done, and wait until it is in one of these states; the last one if it never is.

        A launcher that is started again meanwhile is asked again.
        """
        card, limit = self._card, self._card.now() + REFUSED_S
        begun = False
        while card.now() < limit:
            try:
                if not begun and not await self._launcher.do(name, action):
                    begun, limit = True, card.now() + ACTION_S
                await self.see()
            except AnothersCard:
                raise
            except NoLauncher as error:
                card.fault = str(error)
                await asyncio.sleep(RETRY_S)
                begun, limit = False, card.now() + REFUSED_S
                continue
            if card.states[name].state in until and begun:
                break
            await asyncio.sleep(POLL_S)
        return card.states[name]


def _told(state: EngineState) -> str:
    """Why it is not loaded, with what its log says of it."""
    why = state.why or f"is {state.state}"
    return f"could not be loaded: it {why}" + (f" ({state.cause[:400]})" if state.cause else "")
