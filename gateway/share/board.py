"""What each gateway writes for the others, and what one makes of what the others wrote. No I/O, no clock.

Each writes its own sums, whole, over and over, and each reads all of them: what counts is by how much a sum has grown
since it was read last. So nothing is lost where an exchange fails, and a store that comes back empty is full again
after one exchange.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import TypeAdapter, ValidationError

# One that has written nothing new for so long is gone, and its places are the others'.
GONE_S = 2.0
# After so long its field is taken away.
FORGOTTEN_S = 60.0
# With a longer gap between two looks, what was taken in it has partly come back since.
GAP_S = 2.0
# A gateway without work counts as so much of a key: whoever comes to it finds places at once.
IDLE_SHARE = 0.5


@dataclass(slots=True)
class GatewaySums:
    """One gateway's sums since its start.

    ``count``: grows with each writing. ``taken``: of buckets, seconds of refill; ``missing``: seconds until they are
    full, as it sees them. ``running``: requests by key. ``served``: by key, cost for each unit of weight. ``active``:
    keys with work, by model, each with its weight.
    """

    count: int
    taken: dict[str, float] = field(default_factory=dict)
    missing: dict[str, float] = field(default_factory=dict)
    running: dict[str, int] = field(default_factory=dict)
    served: dict[str, float] = field(default_factory=dict)
    active: dict[str, dict[str, float]] = field(default_factory=dict)


_ENTRY = TypeAdapter(GatewaySums)


@dataclass(slots=True)
class News:
    """What the others have done since the last look; ``missing``: of gateways that were seen for the first time."""

    gateways: int
    taken: dict[str, float] = field(default_factory=dict)
    missing: dict[str, float] = field(default_factory=dict)
    running: dict[str, int] = field(default_factory=dict)
    served: dict[str, float] = field(default_factory=dict)
    active: list[dict[str, dict[str, float]]] = field(default_factory=list)


@dataclass(slots=True)
class _Known:
    entry: GatewaySums
    changed_at: float
    taken: dict[str, float]
    served: dict[str, float]


class Bulletin:
    """The others, as one gateway knows them. ``strange``: fields that are no gateway's, at the last look."""

    def __init__(self, own_id: str) -> None:
        self._own_id = own_id
        self._known: dict[str, _Known] = {}
        self.strange: list[str] = []

    def read(self, fields: Mapping[bytes, bytes], now: float) -> News:
        """All fields -> what is new. ``now``: seconds of any clock that only grows."""
        news = News(gateways=1)
        self.strange = []
        for name, value in fields.items():
            gateway = name.decode("utf-8", "replace")
            if gateway == self._own_id:
                continue
            try:
                entry = _ENTRY.validate_json(value)
            except ValidationError:
                self.strange.append(gateway)
                continue
            self._see(gateway, entry, now, news)
        for known in self._known.values():
            if now - known.changed_at < GONE_S:
                news.gateways += 1
                news.active.append(known.entry.active)
                for key, count in known.entry.running.items():
                    news.running[key] = news.running.get(key, 0) + count
        return news

    def forgotten(self, now: float) -> list[str]:
        """Those that have been silent for very long: their fields may go."""
        return [name for name, known in self._known.items() if now - known.changed_at > FORGOTTEN_S]

    def _see(self, gateway: str, entry: GatewaySums, now: float, news: News) -> None:
        known = self._known.get(gateway)
        if known is None:
            for bucket, seconds in entry.missing.items():
                news.missing[bucket] = max(news.missing.get(bucket, 0.0), seconds)
            self._known[gateway] = _Known(entry, now, dict(entry.taken), dict(entry.served))
            return
        if entry.count == known.entry.count:
            return
        gap = now - known.changed_at
        for bucket, sum_ in entry.taken.items():
            more = sum_ - known.taken.get(bucket, 0.0)
            _add(news.taken, bucket, max(0.0, more - gap) if gap > GAP_S and more > 0 else more)
        for key, sum_ in entry.served.items():
            _add(news.served, key, sum_ - known.served.get(key, 0.0))
        known.taken |= entry.taken
        known.served |= entry.served
        known.entry, known.changed_at = entry, now


def _add(sums: dict[str, float], name: str, more: float) -> None:
    if more:
        sums[name] = sums.get(name, 0.0) + more


def write(entry: GatewaySums) -> bytes:
    return _ENTRY.dump_json(entry)


def share_of(model: str, own: Mapping[str, float], others: list[dict[str, dict[str, float]]]) -> float:
    """The part of an engine's places that is this gateway's, 0 to 1: by the weights of the keys that work here.

    A key with work at several gateways counts at each for its part. So keys have the same, wherever they come in.

    Args:
        own: keys with work for the model here, each with its weight.
        others: of each other gateway, its `GatewaySums.active`.
    """
    everywhere = [own, *(active.get(model, {}) for active in others)]
    places: dict[str, int] = {}
    for keys in everywhere:
        for key in keys:
            places[key] = places.get(key, 0) + 1
    demands = [IDLE_SHARE + sum(weight / places[key] for key, weight in keys.items()) for keys in everywhere]
    return demands[0] / sum(demands)
