"""All cards whose models take turns: what requests, pages and operators ask of them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from gateway.config.settings import Settings
from gateway.core.errors import AnotherDecides, BadRequest, Overloaded, Pinned
from gateway.core.record import RequestRecord
from gateway.core.ticker import Ticker
from gateway.residency.policy import Waiter
from gateway.turns.card import Around, CardSwitcher
from gateway.turns.report import ago, told

Deed = Literal["load", "unload", "pin", "unpin"]
DEEDS: tuple[Deed, ...] = ("load", "unload", "pin", "unpin")


@dataclass(frozen=True, slots=True)
class Expectation:
    """Of a request whose model takes turns. ``about_s``: seconds from now; ``away``: it is not loaded now."""

    model: str
    whole: bool
    away: Callable[[], bool]
    about_s: Callable[[], float]


class Turns:
    """Nothing of it is asked for a model that takes none, but whether it does."""

    def __init__(self, settings: Settings, around: Around, ticker: Ticker) -> None:
        self._around = around
        self._ticker = ticker
        self._settings = settings
        self.cards: dict[str, CardSwitcher] = {}
        self._of: dict[str, tuple[CardSwitcher, str]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._make()

    def _make(self) -> None:
        engines = [engine for engine in self._settings.engines if engine.turn is not None]
        for name in dict.fromkeys(engine.turn.card for engine in engines if engine.turn is not None):
            mine = [engine for engine in engines if engine.turn is not None and engine.turn.card == name]
            self.cards[name] = card = CardSwitcher(name, mine, self._settings, self._around)
            for turn, engine in card.engines.items():
                self._of.update((model, (card, turn)) for model in engine.models)
        costs = [
            {model: engine.turn.cost for engine in card.engines.values() if engine.turn for model in engine.models}
            for card in self.cards.values()
        ]
        half_life = self._settings.admission.half_life_s
        self._around.admission.cards.use(costs, half_life, self._around.loop.time())

    def start(self) -> None:
        for card in self.cards.values():
            self._ticker.add(card)
            self._tasks.append(self._ticker.supervisor.task("turns", card.run, self._around.loop))

    def stop(self) -> None:
        """Carry out nothing more. What is loaded stays: the launchers know."""
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()
        for card in self.cards.values():
            self._ticker.discard(card)

    def change(self, settings: Settings) -> None:
        """Other settings from now on. Where they say something else of turns, what is loaded is asked anew."""
        before, self._settings = self._settings, settings
        turns = [[one for one in each.engines if one.turn] for each in (before, settings)]
        if turns[0] == turns[1] and before.residency == settings.residency and before.admission == settings.admission:
            return
        running = bool(self._tasks)
        self.stop()
        old = self.cards
        self.cards, self._of = {}, {}
        self._make()
        for name, card in self.cards.items():
            for turn, member in card.policy.members.items():
                if name in old and turn in old[name].policy.members:
                    member.times = old[name].policy.members[turn].times  # what was learned
        labels = [{each.label(turn) for each in cards.values() for turn in each.engines} for cards in (old, self.cards)]
        self._around.metrics.forget(labels[0] - labels[1])
        if running:
            self.start()

    def take(self, model: str) -> bool:
        """Whether a model takes turns."""
        return model in self._of

    def expect(self, record: RequestRecord) -> Expectation | None:
        """Judge a request that has to wait; None: its model takes no turns.

        Raises:
            ModelFailed: it could not be loaded, and is not tried again yet.
            ModelLoading: its turn would come too late, or another gateway decides on its card.
            Overloaded: its key has caused too many switches.
        """
        found = self._of.get(record.call.model)
        if found is None:
            return None
        card, name = found
        loop, model = self._around.loop, record.call.model
        waiter = Waiter(record.principal.name, record.call.level, loop.time())
        if self._around.registry.away(model):
            self._judge(card, name, waiter)
            card.nudge()
        return Expectation(
            name,
            card.settings.keep_alive_whole,
            lambda: self._around.registry.away(model),
            lambda: card.wait_s(name, waiter),
        )

    def _judge(self, card: CardSwitcher, name: str, waiter: Waiter) -> None:
        if card.anothers and card.to != name:
            raise card.not_ours(name)
        backoff, now = card.policy.members[name].backoff, waiter.since
        if card.to != name and not backoff.may_try(now):
            raise card.failure(name)
        wait = card.wait_s(name, waiter)
        if wait <= card.settings.load_timeout_s:
            return
        free = card.policy.budget.free_in(waiter.key, now)
        if math.isinf(wait) and free and card.policy.pinned in (None, name):
            seconds = math.ceil(free)
            most = card.settings.switches_per_hour
            raise Overloaded(
                f"this key has had models switched {most} times in an hour; '{name}' is not loaded, try again in "
                f"{seconds} s",
                retry_after=seconds, reason="model_switches",
            )  # fmt: skip
        raise card.loading(name, wait)

    def let_go(self, model: str) -> None:
        """Nobody needs it any more, by Ollama's `keep_alive: 0`: it need not stay once it is idle."""
        found = self._of.get(model)
        if found is not None and found[0].policy.resident == found[1]:
            found[0].policy.members[found[1]].let_go = True

    def leaves(self, model: str) -> str:
        """When a loaded model may have to give way, as an ISO time; empty for one that takes no turns or is pinned."""
        found = self._of.get(model)
        if found is None or found[0].policy.pinned == found[1]:
            return ""
        card = found[0]
        others = [member.turn_s for name, member in card.policy.members.items() if name != found[1]]
        stays = min(others, default=0.0) * card.policy.rules.residency_factor
        return ago(min(0.0, card.now() - card.policy.since - stays))

    def states(self) -> dict[str, dict[str, object]]:
        """Of each model of clients, for /health: its state, since when, about how long it takes, why it failed."""
        return {model: told(card, turn).brief() for model, (card, turn) in self._of.items()}

    def report(self) -> list[dict[str, object]]:
        """All of it, for operators."""
        return [
            {
                "card": name,
                "launcher": card.fault or "ok",
                "resident": card.policy.resident,
                "pinned": card.policy.pinned,
                "phase": card.phase,
                "to": card.to or None,
                "lost_s": round(self._around.metrics.lost[name], 3),
                "lost_share_15m": round(self._around.metrics.lost_share(name, card.now()), 4),
                "models": [told(card, turn).whole(self._around.metrics) for turn in card.engines],
            }
            for name, card in self.cards.items()
        ]

    def do(self, deed: Deed, name: str) -> str:
        """An operator's wish; returns the state that the model is in now.

        Raises:
            BadRequest: no such model takes turns.
            Pinned: another one is pinned on its card.
            AnotherDecides: another gateway does.
        """
        found = self._of.get(name) or next(((card, name) for card in self.cards.values() if name in card.engines), None)
        if found is None:
            names = ", ".join(f"'{turn}'" for card in self.cards.values() for turn in card.engines)
            raise BadRequest(f"no model '{name[:200]}' takes turns; there are {names or 'none'}", param="name")
        card, turn = found
        policy = card.policy
        if card.anothers:
            raise AnotherDecides(f"another gateway decides on '{card.name}'; ask that one", param="name")
        if deed in ("load", "pin") and policy.pinned not in (None, turn):
            raise Pinned(f"'{policy.pinned}' is pinned on {card.name}; unpin it first", param="name")
        if deed in ("load", "pin"):
            policy.members[turn].backoff.forgive()
        if deed == "load" and policy.resident != turn:
            policy.wanted = turn
        elif deed == "pin":
            policy.pinned = turn
            card.turn_away_others()
        elif deed == "unpin" and policy.pinned == turn:
            policy.pinned = None
        elif deed == "unload":
            policy.pinned = None if policy.pinned == turn else policy.pinned
            card.unloads.add(turn)
        card.nudge()
        return "loading" if policy.resident != turn and deed in ("load", "pin") else card.state(turn)
