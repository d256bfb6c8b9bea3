"""How waiting ends without an engine: with the time limit, with a client that goes, with engines that are gone."""

from __future__ import annotations

from gateway.admission.controller import NO_ENGINE_GRACE_S
from gateway.core.errors import NoEngineUp, Overloaded
from tests.gateway.admission.bench import STRUCTURED, Bench, give_back, refusal, settle


async def test_p46_the_wait_has_an_end() -> None:
    bench = Bench(1, queue_timeout_s=30)
    await bench.ask("a")
    late = bench.ask("a")
    await settle()
    await bench.pass_time(29)
    assert not late.done()
    await bench.pass_time(2)
    error = await refusal(late)
    assert isinstance(error, Overloaded)
    assert (error.status, error.reason) == (429, "queue_timeout")
    assert error.retry_after


async def test_p46_without_an_engine_the_queue_is_told_so_after_some_seconds() -> None:
    bench = Bench(1)
    await bench.ask("a")
    waiting = bench.ask("a")
    await settle()
    bench.up = False
    await bench.pass_time(0.1)
    await bench.pass_time(NO_ENGINE_GRACE_S - 1)
    assert not waiting.done()
    await bench.pass_time(2)
    assert (await refusal(waiting)).status == 503


async def test_p144_while_an_engine_is_waited_for_only_the_time_limit_of_the_queue_holds() -> None:
    bench = Bench(1)
    bench.up, bench.stalled = False, True
    waiting = bench.ask("a")
    await settle()
    await bench.pass_time(0.1)
    await bench.pass_time(NO_ENGINE_GRACE_S + 2)
    assert not waiting.done()
    bench.stalled = False
    await bench.pass_time(0.1)
    await bench.pass_time(NO_ENGINE_GRACE_S + 1)
    assert (await refusal(waiting)).status == 503


async def test_p152_who_waits_for_structured_output_that_is_stuck_is_told() -> None:
    bench = Bench(1)
    await bench.ask("a")
    waiting, plain = bench.ask("a", prompt=STRUCTURED), bench.ask("b")
    await settle()
    bench.refused = NoEngineUp("stuck", retry_after=30)
    await bench.pass_time(0.1)
    assert (await refusal(waiting)).status == 503
    assert not plain.done()
    plain.cancel()


async def test_p20_a_client_that_leaves_the_queue_leaves_nothing_behind() -> None:
    bench = Bench(1)
    slot = await bench.ask("a")
    gone, stays = bench.ask("a"), bench.ask("b")
    await settle()
    gone.cancel()
    await settle()
    assert bench.admission.in_flight == 2
    give_back(slot)
    await settle()
    give_back(stays.result())
    assert (bench.admission.in_flight, bench.address.in_flight) == (0, 0)


async def test_p20_a_client_that_leaves_as_it_is_served_gives_the_place_to_the_next() -> None:
    bench = Bench(1)
    slot = await bench.ask("a")
    gone, stays = bench.ask("a"), bench.ask("a")
    await settle()
    give_back(slot)  # grants it to `gone`, which is cancelled before it has run
    gone.cancel()
    await settle()
    assert stays.done()
    give_back(stays.result())
    assert (bench.admission.in_flight, bench.address.in_flight) == (0, 0)


async def test_p111_a_thousand_clients_that_leave_at_once_are_skipped() -> None:
    """Each was granted a place, gave it back, and so granted the next one: five frames each, and the stack ended."""
    bench = Bench(8)
    running = [await bench.ask("running") for _ in range(8)]
    gone = [bench.ask("gone") for _ in range(1000)]
    await settle()
    stays = bench.ask("stays")
    await settle()
    drained = bench.admission.drain_rate("m")
    for task in gone:
        task.cancel()
    give_back(running[0])  # in the same turn of the loop: none of them has left the queue yet
    assert bench.address.in_flight == 8
    await settle()
    assert stays.done()
    assert bench.admission.in_flight == 8
    assert bench.admission.drain_rate("m") == drained + 1


async def test_p112_as_many_as_the_plan_is_for_wait_as_long_as_it_takes() -> None:
    bench = Bench(1, users=3, queue_timeout_s=30)
    running = await bench.ask("a")
    waiting = [bench.ask(key) for key in "bc"]
    await settle()
    bench.now += 1
    beyond = bench.ask("d")
    await settle()
    await bench.pass_time(31)
    assert isinstance(await refusal(beyond), Overloaded)
    await bench.pass_time(600)
    assert not any(task.done() for task in waiting)
    give_back(running)
    await settle()
    assert [task.done() for task in waiting] == [True, False]
    give_back(waiting[0].result())
    await settle()
    assert waiting[1].done()
