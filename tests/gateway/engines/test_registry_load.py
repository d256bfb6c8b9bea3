"""Which of several engines gets a request, by what they have to do."""

from __future__ import annotations

import heapq
import random
import statistics

from gateway.core.call import Call
from gateway.core.cost import cost
from gateway.engines import balancing
from gateway.engines.kv_occupancy import Hold
from gateway.engines.replica import UNREAD_WEIGHT
from tests.fakes.engine.model import EngineModel, Sequence
from tests.gateway.engines.registries import serving

MIX = ((64, 128), (512, 256), (2000, 64), (128, 512), (3000, 16))


async def test_p11_prompts_that_are_still_to_be_read_weigh_more_than_work_that_runs() -> None:
    registry = await serving(8, 8)
    reading, writing = registry.replicas()
    long_prompt = Hold(3000, 16, 16, cost(3000, 16), 0)
    long_prompt.unread = 3000.0
    reading.take(long_prompt)
    for _ in range(2):
        writing.take(Hold(64, 512, 512, cost(64, 512), 0))
    assert writing.work > reading.work
    asked = Call("m", True, b"/", b"", prompt_tokens=64)
    assert registry.choose(asked) is writing
    reading.read(long_prompt)  # its first token has come
    assert registry.choose(asked) is reading
    reading.give(long_prompt)
    assert reading.unread == reading.load == 0
    registry.stop()


async def test_p110_an_address_over_its_lowered_limit_does_not_hide_the_others_free_places() -> None:
    """Limits go down under load: 8 of 4 and 5 of 8 were 13 of 12, and so nobody was let in."""
    registry = await serving(8, 8)
    over, free = registry.replicas()
    for address, count in ((over, 8), (free, 5)):
        for _ in range(count):
            address.take(Hold(1, 1, 1, 1, 0))
    over.limit = 4
    assert registry.has_room("m", whole=True)
    assert registry.choose(Call("m", True, b"/", b"")) is free
    registry.stop()


class Simulated:
    """An engine in virtual time, and what the gateway knows of it."""

    def __init__(self) -> None:
        self.model = EngineModel()
        self.brought: list[Sequence] | None = None
        self.work = self.unread = 0.0


def first_tokens(weight: float, seed: int, users: int = 50) -> list[float]:
    """Seconds to the first token of users in closed loops over two engines; ``weight``: of a token that is unread."""
    engines, source, turn = [Simulated(), Simulated()], random.Random(seed), 0
    steps: list[tuple[float, int]] = []
    asked: dict[int, float] = {}
    found: list[float] = []

    def ask(now: float) -> None:
        nonlocal turn
        turn += 1
        prompt, output = source.choice(MIX)
        loads = [one.work + weight * one.unread for one in engines]
        one = engines[balancing.choose(loads, turn, source.random)]
        one.work, one.unread = one.work + cost(prompt, output), one.unread + prompt
        sequence = Sequence(prompt, output)
        asked[id(sequence)] = now
        one.model.waiting.append(sequence)
        begin(one, now)

    def begin(one: Simulated, now: float) -> None:
        if one.brought is None and (one.model.running or one.model.waiting):
            seconds, one.brought = one.model.step()
            heapq.heappush(steps, (now + seconds, engines.index(one)))

    for _ in range(users):
        ask(0.0)
    while steps and steps[0][0] < 12.0:
        now, index = heapq.heappop(steps)
        one = engines[index]
        for sequence in one.brought or ():
            if sequence.events == 1 and id(sequence) in asked:
                waited = now - asked.pop(id(sequence))
                if now > 2.0:  # not of the users' all beginning at once
                    found.append(waited)
                one.unread -= sequence.prompt
        done = [sequence for sequence in one.brought or () if sequence.done]
        one.brought = None
        for sequence in done:
            one.work -= cost(sequence.prompt, sequence.output)
            ask(now)
        begin(one, now)
    return found


def test_p11_first_tokens_of_a_mix_come_sooner_than_by_work_alone() -> None:
    """The slowest twentieth of first tokens, as a median over ten runs of twelve seconds."""

    def p95(weight: float) -> float:
        return statistics.median(statistics.quantiles(first_tokens(weight, seed), n=20)[-1] for seed in range(10))

    assert p95(UNREAD_WEIGHT) < 0.9 * p95(0.0)
