"""Places, the queue, whose turn it is; with a clock that the test turns."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from gateway.admission.controller import ACTIVE_S, NO_ENGINE_GRACE_S, PASSED_S, Admission
from gateway.admission.slots import Slot
from gateway.config.settings import AdmissionSettings, EngineSettings, Polling
from gateway.core.call import Call, Principal, Usage
from gateway.core.errors import GatewayError, NoEngineUp, Overloaded, Stopping
from gateway.core.priority import PRIORITIES
from gateway.core.record import RequestRecord
from gateway.engines.replica import Replica
from gateway.http.client import Pool

STRUCTURED = 77  # a prompt's tokens, by which a call that is refused is known
NUMBERS: dict[str, Any] = {
    "max_num_seqs": 4,
    "max_num_batched_tokens": 2048,
    "max_model_len": 4096,
    "kv_cache_tokens": 65536,
}


class Bench:
    """An admission over one engine with some places; ``now`` is its clock."""

    def __init__(self, slots: int, max_in_flight: int = 1000, **settings: Any) -> None:
        engine = EngineSettings(
            name="e", url="http://127.0.0.1:1", models=("m",), **(NUMBERS | {"max_num_seqs": slots})
        )
        self.address = Replica(
            engine, "127.0.0.1", Pool("127.0.0.1", 1, asyncio.get_running_loop()), Polling(), lambda: None
        )
        self.up = True
        self.stalled = False
        self.refused: GatewayError | None = None
        self.now = 100.0
        self.admission = Admission(AdmissionSettings(**settings), self, max_in_flight, lambda: self.now)

    def limit(self, model: str) -> int:  # noqa: ARG002
        return self.address.limit if self.up else 0

    def reserve(self, model: str) -> int:  # noqa: ARG002
        return self.address.reserve if self.up else 0

    def has_room(self, model: str, whole: bool) -> bool:  # noqa: ARG002
        return self.up and self.address.has_room(0, 0, whole)

    def choose(self, call: Call, whole: bool = True) -> Replica | None:
        fits = self.up and self.address.has_room(call.prompt_tokens, call.expected_output, whole)
        return self.address if fits else None

    def refusal(self, call: Call) -> GatewayError | None:
        return self.refused if call.prompt_tokens == STRUCTURED else None

    def waited_for(self, model: str) -> bool:  # noqa: ARG002
        return self.stalled

    def none_up(self, model: str) -> NoEngineUp:  # noqa: ARG002
        return NoEngineUp("down", retry_after=2)

    def ask(
        self, key: str, level: str = "normal", weight: float = 1.0, prompt: int = 100, output: int = 100
    ) -> asyncio.Task[Slot]:
        call = Call("m", True, b"/", b"", prompt_tokens=prompt, output_tokens=output, level=PRIORITIES[level])
        call.expected_output = output
        record = RequestRecord("id", self.now)
        record.principal, record.call = Principal(key, weight=weight), call
        return asyncio.ensure_future(self._enter(record))

    async def _enter(self, record: RequestRecord) -> Slot:
        return self.admission.enter(record) or await self.admission.wait(record)

    async def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.admission.check(self.now)
        await settle()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def give_back(slot: Slot, prompt: int | None = None, output: int = 0) -> None:
    """With so many tokens of prompt and answer used; without any, no engine had it."""
    slot.record.usage = None if prompt is None else Usage(prompt, output)
    slot.release()


async def refusal(task: Awaitable[Slot]) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await task
    return caught.value


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
