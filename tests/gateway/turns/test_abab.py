"""Two models asked for in turns, two hundred times each: how often the card is switched, and who is served."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable

import httpx

from tests.gateway.harness import KEY, chat
from tests.gateway.turns.worlds import World

EACH, LEAST_LOAD_S, TIMES = 200, 0.8, 4.0


async def ask_all(url: str) -> Counter[str]:
    """A, B, A, B, …, all at once; how often each has answered."""
    headers = {"authorization": f"Bearer {KEY}"}
    limits = httpx.Limits(max_connections=2 * EACH)
    async with httpx.AsyncClient(base_url=url, headers=headers, limits=limits, timeout=120) as client:
        asked = [client.post("/v1/chat/completions", json=chat(model=name, max_tokens=60)) for name in "ab" * EACH]
        answers = await asyncio.gather(*asked)
    found = Counter(answer.json().get("model", answer.text) for answer in answers)
    assert [one.json().get("model") for one in answers] == list("ab" * EACH), found
    return found


def test_p301_each_switch_is_paid_for_by_four_times_its_cost(start_world: Callable[..., World]) -> None:
    knobs = {"fault": "slow-start", "slow_start_s": LEAST_LOAD_S}
    world = start_world(
        {"a": knobs, "b": knobs}, sleep=False, turn={"cold_guess_s": LEAST_LOAD_S},
        residency={"residency_factor": TIMES}, admission={"queue_timeout_s": 120},
    )  # fmt: skip
    began = time.monotonic()
    asyncio.run(ask_all(world.gateway.url))
    took = time.monotonic() - began
    switches = world.switches("a") + world.switches("b")
    assert 2 <= switches <= 1 + took / (TIMES * LEAST_LOAD_S)
