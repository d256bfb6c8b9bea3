"""One timer for all."""

from __future__ import annotations

import asyncio
import time

from gateway.core.supervisor import Supervisor
from gateway.core.ticker import INTERVAL_S, Ticker


class Noting:
    def __init__(self) -> None:
        self.seen: list[float] = []

    def check(self, now: float) -> None:
        self.seen.append(now)


async def test_what_is_watched_is_looked_at_until_it_is_discarded() -> None:
    ticker, kept, dropped = Ticker(asyncio.get_running_loop(), Supervisor()), Noting(), Noting()
    ticker.add(kept)
    ticker.add(dropped)
    ticker.start()
    await asyncio.sleep(2.5 * INTERVAL_S)
    ticker.discard(dropped)
    before = len(dropped.seen)
    await asyncio.sleep(2.5 * INTERVAL_S)
    ticker.stop()
    assert len(kept.seen) > before > 0
    assert len(dropped.seen) == before


async def test_a_blocked_loop_is_seen_as_lag() -> None:
    ticker = Ticker(asyncio.get_running_loop(), Supervisor())
    ticker.start()
    await asyncio.sleep(INTERVAL_S / 2)
    time.sleep(INTERVAL_S + 0.25)  # noqa: ASYNC251 - what is to be seen
    await asyncio.sleep(2 * INTERVAL_S)
    ticker.stop()
    assert 0.2 < ticker.lag < 2


class Failing:
    def __init__(self) -> None:
        self.seen = 0

    def check(self, now: float) -> None:  # noqa: ARG002
        self.seen += 1
        raise RecursionError("a defect")


async def test_p142_what_fails_in_a_look_keeps_nothing_else_from_being_looked_at() -> None:
    supervisor = Supervisor()
    ticker, failing, noting = Ticker(asyncio.get_running_loop(), supervisor), [Failing(), Failing()], Noting()
    actions: list[int] = []
    ticker.each_tick(lambda: actions.append(1 // 0))
    ticker.each_tick(lambda: actions.append(1))
    for one in failing:
        ticker.add(one)
    ticker.add(noting)
    ticker.start()
    await asyncio.sleep(4.5 * INTERVAL_S)
    ticker.stop()
    looks = len(noting.seen)
    assert looks >= 3 and len(actions) == looks
    assert [one.seen for one in failing] == [looks, looks]
    assert supervisor.parts["ticker"].failures == 3 * looks
