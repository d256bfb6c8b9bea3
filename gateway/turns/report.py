"""What is told of one model that takes turns."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gateway.residency.policy import Waiter
from gateway.telemetry.turn_metrics import KINDS, TurnMetrics

if TYPE_CHECKING:
    from gateway.turns.card import CardSwitcher


@dataclass(frozen=True, slots=True)
class Told:
    """Of one model. ``age``: seconds in its state, where that is known."""

    card: CardSwitcher
    turn: str
    state: str
    age: float | None
    about_s: float | None

    def brief(self) -> dict[str, object]:
        """For everybody."""
        why = self.card.policy.members[self.turn].backoff.why
        entry: dict[str, object] = {"state": self.state, "since": None if self.age is None else ago(self.age)}
        if self.about_s is not None:
            entry["about_s"] = self.about_s
        return entry | ({"why": why} if self.state == "failed" and why else {})

    def whole(self, metrics: TurnMetrics) -> dict[str, object]:
        """For operators."""
        card, turn = self.card, self.turn
        member, now = card.policy.members[turn], card.now()
        demand = card.demands()[turn]
        failed = self.state == "failed"
        return {
            "name": turn,
            "models": list(card.engines[turn].models),
            "state": self.state,
            "since": None if self.age is None else ago(self.age),
            "about_s": self.about_s,
            "wake_s": round(member.times.seconds("wake"), 3),
            "wake_learned": member.times.learned("wake"),
            "cold_s": round(member.times.seconds("cold"), 3),
            "cold_learned": member.times.learned("cold"),
            "next_load": member.next_kind,
            "running": demand.running,
            "waiting": len(demand.waiters),
            "loads": {kind: sum(metrics.loads[card.label(turn), kind].counts) for kind in KINDS},
            "failures": sum(count for (model, _), count in metrics.failures.items() if model == card.label(turn)),
            "why": member.backoff.why,
            "retry_at": ago(now - member.backoff.retry_at) if failed else None,
            "log": list(card.states[turn].log) if failed else [],
        }


def told(card: CardSwitcher, turn: str) -> Told:
    state, now = card.state(turn), card.now()
    age = now - card.phase_since if state == "loading" else now - card.policy.since if state == "ready" else None
    about: float | None = None
    if state != "ready":
        wait = card.wait_s(turn, Waiter("", 1, now))
        about = round(wait, 1) if wait < 1e9 else None
    return Told(card, turn, state, age, about)


def ago(seconds: float) -> str:
    """The moment so many seconds ago, or from now where they are negative."""
    return datetime.fromtimestamp(time.time() - seconds, UTC).isoformat(timespec="seconds")
