"""Places, the queue, whose turn it is; with a clock that the test turns."""

from __future__ import annotations

import pytest

from gateway.admission.controller import PASSED_S
from gateway.config.settings import AdmissionSettings
from gateway.core.errors import Overloaded, Stopping
from tests.gateway.admission.bench import Bench, give_back, refusal, settle


async def test_p9_a_place_is_given_back_once_however_the_request_ends() -> None:
    bench = Bench(1)
    slot = await bench.ask("a")
    give_back(slot)
    give_back(slot)
    assert bench.address.in_flight == 0
    with pytest.raises(ZeroDivisionError), await bench.ask("a"):
        raise ZeroDivisionError
    assert (bench.address.in_flight, bench.admission.in_flight) == (0, 0)


async def test_a_queue_is_made_for_whoever_has_to_wait() -> None:
    bench = Bench(1)
    slot = await bench.ask("a")
    assert bench.admission.waiting() == {}
    waiting = bench.ask("b")
    await settle()
    assert bench.admission.waiting() == {"m": {"b": 1}} and bench.admission.in_flight == 2
    give_back(slot)
    give_back(await waiting)
    assert bench.admission.waiting() == {"m": {}} and bench.admission.in_flight == 0


async def test_p82_once_closed_it_refuses_who_waits_and_who_comes_and_keeps_who_runs() -> None:
    bench = Bench(1)
    running, waiting = await bench.ask("a"), bench.ask("b")
    await settle()
    bench.admission.close(lambda: Stopping("stopping", retry_after=5))
    assert isinstance(await refusal(waiting), Stopping)
    assert isinstance(await refusal(bench.ask("a")), Stopping)
    assert bench.admission.in_flight == 1
    give_back(running)
    assert bench.admission.in_flight == 0


async def test_p83_other_numbers_hold_for_who_comes_and_for_whose_turn_it_is() -> None:
    bench = Bench(1, max_queued=8, half_life_s=10)
    slot = await bench.ask("a")
    give_back(slot, 1000, 1000)
    running = await bench.ask("c")
    waiting = [bench.ask("a"), bench.ask("b")]
    await settle()
    bench.admission.change(AdmissionSettings(max_queued=2, half_life_s=1), 1000)
    assert (await refusal(bench.ask("d"))).status == 429
    give_back(running)
    await settle()
    assert [task.done() for task in waiting] == [False, True]  # a has had more, whatever the pace of its fading
    for task in waiting:
        task.cancel()


async def test_p42_requests_wait_in_the_gateway_and_not_in_the_engine() -> None:
    bench = Bench(2)
    slots = [await bench.ask("a") for _ in range(2)]
    waiting = [bench.ask("a") for _ in range(3)]
    await settle()
    assert bench.address.in_flight == 2
    assert bench.admission.waiting() == {"m": {"a": 3}}
    bench.now += 1.5
    give_back(slots[0], 100, 100)
    await settle()
    assert [task.done() for task in waiting] == [True, False, False]
    assert (await waiting[0]).record.waited == 1.5
    assert [task.result().record.position for task in waiting[:1]] == [1]
    for task in waiting[1:]:
        task.cancel()


async def test_p9_a_full_queue_refuses_with_the_time_that_it_will_take() -> None:
    bench = Bench(4, max_queued=8)
    slots = [await bench.ask("a") for _ in range(4)]
    for _ in range(40):  # two requests a second leave
        bench.now += 0.5
        give_back(slots.pop(0), 10, 10)
        slots.append(await bench.ask("a"))
    waiting = [bench.ask("a") for _ in range(8)]
    await settle()
    error = await refusal(bench.ask("a"))
    assert isinstance(error, Overloaded)
    assert (error.status, error.reason, error.retry_after) == (429, "queue_full", 5)
    for task in waiting:
        task.cancel()


async def test_p9_over_the_whole_limit_nothing_more_is_taken() -> None:
    bench = Bench(2, max_in_flight=3)
    tasks = [bench.ask("a") for _ in range(3)]
    await settle()
    assert (await refusal(bench.ask("a"))).status == 429
    for task in tasks:
        task.cancel()


async def test_p110_requests_are_let_in_by_tokens_and_not_by_their_number() -> None:
    bench = Bench(64)  # 65,536 tokens
    short = [bench.ask("a", prompt=128, output=128) for _ in range(64)]
    await settle()
    assert bench.address.in_flight == 64
    for task in short:
        give_back(task.result())
    long = [bench.ask("a", prompt=3000, output=1000) for _ in range(64)]
    await settle()
    assert bench.address.in_flight == 16
    for task in long:
        task.cancel()


async def test_p110_whatever_is_asked_for_runs_when_nothing_else_does() -> None:
    bench = Bench(4)
    first, second = bench.ask("a", prompt=100_000), bench.ask("b", prompt=100_000)
    await settle()
    assert (first.done(), second.done()) == (True, False)
    give_back(first.result())
    await settle()
    assert second.done()


async def test_p110_a_large_request_is_passed_for_a_moment_and_not_for_ever() -> None:
    bench = Bench(64, queue_timeout_s=1000)
    running = [await bench.ask("other", prompt=20_000, output=1000) for _ in range(3)]
    large = bench.ask("a", prompt=40_000, output=8_000)
    await settle()
    small = bench.ask("b")
    await settle()
    assert (large.done(), small.done()) == (False, True)
    await bench.pass_time(PASSED_S)
    late = bench.ask("c")
    await settle()
    assert (large.done(), late.done()) == (False, False)
    for slot in running:
        give_back(slot, 20_000, 1000)
    await settle()
    assert large.done() and late.done()
