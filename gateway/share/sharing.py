"""Sharing between several gateways, five times a second: sums go out, the others' come in. A thread waits for Valkey.

The event loop copies sums and applies what is new; it never waits. Without Valkey each gateway goes on with its part.
"""

from __future__ import annotations

import asyncio
import logging
import math
import queue
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from gateway.admission.controller import Admission
from gateway.admission.slots import Slot
from gateway.config.settings import ShareSettings
from gateway.core.ticker import Ticker
from gateway.engines.registry import EngineRegistry
from gateway.keys.shared_buckets import LEASE_S, SharedBuckets
from gateway.share import board
from gateway.share.board import Bulletin, GatewaySums, News

# Without an exchange for so long a gateway goes on alone.
ALONE_S = 1.0
# Sums that have not changed for so long are not written any more; the others remember them.
WRITTEN_S = 30.0
STOP_S = 2.0
_log = logging.getLogger("gateway")


class Unreachable(Exception):
    """No exchange; the message is the server's, or the system's."""


class Sums(Protocol):
    """Where the sums are. Used by one thread. ``id``: of this gateway's own entry."""

    id: str

    def exchange(self, own: bytes, gone: list[str]) -> dict[bytes, bytes]:
        """Write one's own entry, take away those of ``gone``, and read all; Unreachable where that cannot be."""

    def leave(self) -> None:
        """Take one's own entry away and close; Unreachable where that cannot be."""


@dataclass(frozen=True, slots=True)
class SharedParts:
    """What is shared, and the ticker that has it done."""

    admission: Admission
    registry: EngineRegistry
    ticker: Ticker


class Sharing:
    """``up``: whether the last exchange was less than `ALONE_S` ago; ``failures``: exchanges that failed.

    ``buckets``: the rate limits. ``gateways``: how many there are, this one included.
    """

    def __init__(
        self, settings: ShareSettings | None, server: Sums, parts: SharedParts, loop: asyncio.AbstractEventLoop
    ) -> None:
        assert settings is not None, "a server is opened for settings"
        self._server = server
        self._parts = parts
        self._loop = loop
        self._board = Bulletin(server.id)
        self._count = 0
        self._sent_at = self._heard_at = -math.inf
        self._changed: dict[str, tuple[float, float]] = {}
        self._work: queue.SimpleQueue[GatewaySums | None] = queue.SimpleQueue()
        self._busy = self._failing = False
        self._told: set[str] = set()
        self._thread = parts.ticker.supervisor.thread("share", self._run)
        self._url = settings.url
        self.failures = 0
        self.gateways = settings.gateways
        self.buckets = SharedBuckets(settings.gateways)
        parts.ticker.each_tick(self.tick)
        parts.admission.attained.charged = {}

    @property
    def up(self) -> bool:
        return self._loop.time() - self._heard_at < ALONE_S

    def start(self) -> None:
        self._thread.start()
        self._be_alone()

    def tick(self) -> None:
        """Ten times a second, on the loop."""
        now = self._loop.time()
        if self.buckets.up and not self.up:
            self._be_alone()
        if not self._busy and now - self._sent_at >= LEASE_S * 0.9:
            self._sent_at, self._busy = now, True
            self._work.put(self._entry(now))

    def stop(self) -> None:
        self._work.put(None)
        self._thread.join(STOP_S)

    def _entry(self, now: float) -> GatewaySums:
        self._count += 1
        buckets, attained = self.buckets, self._parts.admission.attained
        taken = self._lately(buckets.taken, now, "")
        return GatewaySums(
            count=self._count,
            taken=taken,
            missing={name: buckets.missing(name, now) for name in taken},
            running=buckets.all_running(),
            served=self._lately(attained.charged or {}, now, "served/"),
            active=self._active(),
        )

    def _lately(self, sums: dict[str, float], now: float, kind: str) -> dict[str, float]:
        """Those that have changed in the last `WRITTEN_S`."""
        found = {}
        for name, value in sums.items():
            last = self._changed.get(kind + name)
            if last is None or last[0] != value:
                self._changed[kind + name] = (value, now)
            elif now - last[1] > WRITTEN_S:
                continue
            found[name] = value
        return found

    def _active(self) -> dict[str, dict[str, float]]:
        """The keys with work, by model."""
        found = self._parts.admission.weights()
        for replica in self._parts.registry.replicas():
            for hold in replica.occupancy.holds:
                if isinstance(hold, Slot):
                    who = hold.record.principal
                    found.setdefault(hold.record.call.model, {})[who.name] = who.weight
        return found

    def _run(self) -> None:
        while (entry := self._work.get()) is not None:
            try:
                fields = self._server.exchange(board.write(entry), self._board.forgotten(self._loop.time()))
                news = self._board.read(fields, self._loop.time())
            except Unreachable as error:
                self._tell_failing(str(error))
                self._call(self._not_heard)
            else:
                self._tell_again()
                self._call(partial(self._heard, news))
        try:
            self._server.leave()
        except Unreachable:
            _log.warning("share: %s: this gateway's entry stays there until it is too old", self._url)

    def _call(self, action: Callable[[], None]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(action)

    def _not_heard(self) -> None:
        self._busy = False
        self.failures += 1

    def _heard(self, news: News) -> None:
        self._busy = False
        now = self._heard_at = self._loop.time()
        self.gateways = news.gateways
        self.buckets.heard(news.gateways, news.taken, news.missing, news.running, now)
        for key, amount in news.served.items():
            self._parts.admission.attained.elsewhere(key, amount, now)
        own = self._active()
        for replica in self._parts.registry.replicas():
            shares = [board.share_of(model, own.get(model, {}), news.active) for model in replica.models]
            replica.share_places(max(shares, default=1.0 / news.gateways))
        self._parts.admission.pump()

    def _be_alone(self) -> None:
        """Nobody is heard of: a part of each limit and of each engine, for as many as were there last."""
        self.buckets.alone()
        self.buckets.gateways = self.gateways
        for replica in self._parts.registry.replicas():
            replica.share_places(1.0 / self.gateways)

    def _tell_failing(self, why: str) -> None:
        if not self._failing:
            self._failing = True
            _log.error("share: %s: %s; each gateway goes on with its part of the limits", self._url, why)

    def _tell_again(self) -> None:
        if self._failing:
            self._failing = False
            _log.warning("share: %s: answers again", self._url)
        for name in set(self._board.strange) - self._told:
            self._told.add(name)
            _log.error("share: %s: field '%s' is no gateway's; it is left out", self._url, name[:60])
