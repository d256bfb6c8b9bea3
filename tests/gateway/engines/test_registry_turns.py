"""Engines that take turns, as the registry has them: nothing is asked of one that rests, and nothing brings it back."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.config.engine_settings import EngineSettings
from gateway.config.settings import Polling, RoutingSettings
from gateway.config.turn_settings import TurnSettings
from gateway.core.call import Call
from gateway.core.errors import EngineBroken
from gateway.core.supervisor import Supervisor
from gateway.core.ticker import Ticker
from gateway.engines.registry import EngineRegistry

CALL = Call("m", False, b"", b"")


async def one_turn() -> EngineRegistry:
    loop = asyncio.get_running_loop()
    numbers: dict[str, Any] = {"max_num_batched_tokens": 2048, "max_model_len": 4096, "kv_cache_tokens": 65536}
    turn = TurnSettings(card="c", launcher="/l.sock", name="m")
    engine = EngineSettings(name="e", url="http://127.0.0.1:1", models=("m",), max_num_seqs=4, turn=turn, **numbers)
    registry = EngineRegistry([engine], Polling(), RoutingSettings(), Ticker(loop, Supervisor()), loop)
    registry.start()
    while not registry.replicas():  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    return registry


async def test_it_rests_until_it_is_loaded_and_who_asks_waits() -> None:
    registry = await one_turn()
    (address,) = registry.addresses("e")
    assert registry.health()[0].state == "resting"
    assert registry.away("m") and registry.waited_for("m")
    registry.need("m")  # no 503
    assert registry.choose(CALL) is None
    address.polled(["m"], None)  # a late answer of a health check
    address.proved()
    assert registry.health()[0].state == "resting" and registry.choose(CALL) is None
    registry.failed(address, EngineBroken("x", how="unsent"))
    assert registry.health()[0].state == "resting"
    registry.load("e")
    assert registry.health()[0].state == "starting"
    address.polled(["m"], None)
    address.proved()
    assert registry.health()[0].state == "up" and not registry.away("m")
    assert registry.choose(CALL) is address
    registry.rest("e", "asleep")
    assert registry.health()[0].state == "resting" and address.reason == "asleep"
    registry.stop()


async def test_one_that_gives_way_gets_nothing_new() -> None:
    registry = await one_turn()
    (address,) = registry.addresses("e")
    registry.load("e")
    address.polled(["m"], None)
    address.proved()
    registry.admit("e", False)
    assert registry.choose(CALL) is None and registry.away("m")
    assert registry.another(CALL, []) is None
    assert address.state == "up"  # what it has goes on
    registry.admit("e", True)
    assert registry.choose(CALL) is address
    registry.stop()


async def test_a_model_without_turns_is_never_away() -> None:
    registry = await one_turn()
    assert not registry.away("other")
    registry.stop()
