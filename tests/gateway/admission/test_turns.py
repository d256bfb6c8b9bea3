"""Whose turn it is: what a key has had, how urgent its requests are, and what is kept for those that have little."""

from __future__ import annotations

import asyncio

import pytest

from gateway.admission.controller import ACTIVE_S
from gateway.admission.slots import Slot
from tests.gateway.admission.bench import Bench, give_back, refusal, settle


async def test_p43_a_full_queue_puts_out_the_newest_of_the_longest_line() -> None:
    bench = Bench(1, max_queued=6)
    running = await bench.ask("batch")
    batch = [bench.ask("batch") for _ in range(6)]
    await settle()
    chat = bench.ask("chat")
    assert (await refusal(batch[-1])).status == 429
    assert bench.admission.waiting() == {"m": {"batch": 5, "chat": 1}}
    give_back(running, 100, 500)
    await settle()
    assert chat.done()
    for task in batch[:-1]:
        task.cancel()


async def test_p43_who_has_had_least_is_next() -> None:
    bench = Bench(1)
    slot = await bench.ask("heavy")
    heavy = [bench.ask("heavy") for _ in range(5)]
    light = [bench.ask("light") for _ in range(2)]
    await settle()
    served = []
    for _ in range(7):
        give_back(slot, 100, 400)
        await settle()
        done = next(task for task in [*heavy, *light] if task.done() and task not in served)
        served.append(done)
        slot = done.result()
    assert [task in light for task in served[:4]].count(True) == 2
    assert served[0] in light


@pytest.mark.parametrize("weights", [(1.0, 1.0), (1.0, 3.0)])
async def test_p43_under_overload_keys_get_service_by_their_weight(weights: tuple[float, float]) -> None:
    bench = Bench(4, queue_timeout_s=10_000)
    tokens = {"long": 0.0, "short": 0.0}
    lengths = {"long": 900, "short": 60}
    waiting: dict[asyncio.Task[Slot], str] = {}

    def refill() -> None:
        for key, weight in zip(lengths, weights, strict=True):
            for _ in range(12 - list(waiting.values()).count(key)):
                waiting[bench.ask(key, weight=weight)] = key

    ends: list[tuple[float, Slot, str]] = []
    while bench.now < 700:
        refill()
        await settle()
        for task in [task for task in waiting if task.done()]:
            key = waiting.pop(task)
            ends.append((bench.now + lengths[key] / 50, task.result(), key))
        bench.admission.check(bench.now)
        ends.sort(key=lambda end: end[0])
        bench.now, slot, key = ends.pop(0)
        tokens[key] += 100 + 4 * lengths[key]
        give_back(slot, 100, lengths[key])
    share = (tokens["short"] / weights[1]) / (tokens["long"] / weights[0])
    assert 0.8 < share < 1.25
    assert bench.admission.jain() > 0.95
    for task in waiting:
        task.cancel()


async def test_p44_some_places_are_kept_for_keys_that_have_few() -> None:
    bench = Bench(16)
    give_back(await bench.ask("light"))
    heavy = [bench.ask("heavy") for _ in range(40)]
    await settle()
    assert bench.address.in_flight == 14
    light = [bench.ask("light") for _ in range(3)]
    await settle()
    assert [task.done() for task in light] == [True, True, False]
    for task in [*heavy, *light]:
        task.cancel()


async def test_p44_nothing_is_kept_back_for_keys_that_are_not_active() -> None:
    bench = Bench(16, queue_timeout_s=1000)
    give_back(await bench.ask("light"))
    heavy = [bench.ask("heavy") for _ in range(40)]
    await settle()
    assert bench.address.in_flight == 14
    await bench.pass_time(ACTIVE_S - 1)
    assert bench.address.in_flight == 14
    await bench.pass_time(ACTIVE_S)
    assert bench.address.in_flight == 16
    for task in heavy:
        task.cancel()


async def test_p44_without_other_keys_nothing_is_kept_back() -> None:
    bench = Bench(16)
    tasks = [bench.ask("only") for _ in range(40)]
    await settle()
    assert bench.address.in_flight == 16
    for task in tasks:
        task.cancel()


async def test_p45_a_lower_priority_waits_longer_but_is_never_starved() -> None:
    bench = Bench(1, ageing_s=10, queue_timeout_s=1000)
    slot = await bench.ask("a")
    batch = bench.ask("batch", "batch")
    await settle()
    served_before = 0
    while not batch.done():
        urgent = bench.ask("urgent", "interactive")
        await bench.pass_time(1)
        give_back(slot, 100, 100)
        await settle()
        if urgent.done():
            served_before += 1
            slot = urgent.result()
        else:
            urgent.cancel()
            await settle()
        assert served_before < 60
    assert served_before >= 10
