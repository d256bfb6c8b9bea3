"""Service on one card whose models take turns: two models do not give a person two shares of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from gateway.admission.attained_service import Attained
from gateway.core.call import Principal


class CardClock:
    """One card's. ``costs``: its models, each with what one of its tokens weighs.

    ``running``: requests in the engine, by key.
    """

    def __init__(self, costs: Mapping[str, float], half_life_s: float, now: float) -> None:
        self.costs = dict(costs)
        self.attained = Attained(half_life_s, now)
        self.running: Counter[str] = Counter()

    def came(self, key: str, waiting: Collection[str]) -> None:
        """A request of this key: one that was idle here has no more to catch up than those who are active here.

        Args:
            waiting: the keys that wait for one of its models.
        """
        if not self.running[key] and key not in waiting:
            active = {name for name, count in self.running.items() if count}
            self.attained.lift(key, active.union(waiting))

    def took(self, key: str, model: str, work: float, weight: float, now: float) -> None:
        """A request got its slot; ``work``: what it is expected to need."""
        self.running[key] += 1
        self.attained.charge(key, work * self.costs[model], weight, now)

    def gave(self, key: str, model: str, correction: float, weight: float, now: float) -> None:
        """It has ended; ``correction``: what it had more than was expected."""
        self.running[key] -= 1
        if not self.running[key]:
            del self.running[key]
        self.attained.charge(key, correction * self.costs.get(model, 1.0), weight, now)


class Cards:
    """All of them. ``by_model``: the clock of each model that takes turns; the same dict always."""

    def __init__(self) -> None:
        self.by_model: dict[str, CardClock] = {}

    def use(self, cards: Collection[Mapping[str, float]], half_life_s: float, now: float) -> None:
        """Of each card whose models take turns: these models, each with what one of its tokens weighs."""
        clocks = [CardClock(costs, half_life_s, now) for costs in cards]
        for clock in clocks:  # who has had how much is kept where a card goes on
            before = self.by_model.get(next(iter(clock.costs), ""))
            if before is not None:
                clock.attained, clock.running = before.attained, before.running
        self.by_model.clear()
        self.by_model.update((model, clock) for clock in clocks for model in clock.costs)

    def took(self, model: str, who: Principal, work: float, now: float) -> bool:
        """As `CardClock.took`; False for a model that takes no turns."""
        card = self.by_model.get(model)
        if card is None:
            return False
        card.took(who.name, model, work, who.weight, now)
        return True

    def gave(self, model: str, who: Principal, correction: float, now: float) -> bool:
        """As `CardClock.gave`; False for a model that takes no turns."""
        card = self.by_model.get(model)
        if card is None:
            return False
        card.gave(who.name, model, correction, who.weight, now)
        return True

    def fade(self, half_life_s: float, now: float) -> None:
        for clock in set(self.by_model.values()):
            clock.attained.fade(half_life_s, now)

    def service(self, model: str, key: str) -> float:
        """What a key has had on a model's card; to be compared with others' at this moment."""
        return self.by_model[model].attained.rank(key)
