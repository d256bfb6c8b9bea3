"""One timer for all."""

from __future__ import annotations

import asyncio
import time

from gateway.sweeper import INTERVAL_S, Sweeper


class Noting:
    def __init__(self) -> None:
        self.seen: list[float] = []

    def check(self, now: float) -> None:
        self.seen.append(now)


async def test_what_is_watched_is_looked_at_until_it_is_discarded() -> None:
    sweeper, kept, dropped = Sweeper(asyncio.get_running_loop()), Noting(), Noting()
    sweeper.add(kept)
    sweeper.add(dropped)
    sweeper.start()
    await asyncio.sleep(2.5 * INTERVAL_S)
    sweeper.discard(dropped)
    before = len(dropped.seen)
    await asyncio.sleep(2.5 * INTERVAL_S)
    sweeper.stop()
    assert len(kept.seen) > before > 0
    assert len(dropped.seen) == before


async def test_a_blocked_loop_is_seen_as_lag() -> None:
    sweeper = Sweeper(asyncio.get_running_loop())
    sweeper.start()
    await asyncio.sleep(INTERVAL_S / 2)
    time.sleep(INTERVAL_S + 0.25)  # noqa: ASYNC251 - what is to be seen
    await asyncio.sleep(2 * INTERVAL_S)
    sweeper.stop()
    assert 0.2 < sweeper.lag < 2
