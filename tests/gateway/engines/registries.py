"""Registries of engines that are all up, without a process behind them."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.config.settings import EngineSettings, Polling, RoutingSettings
from gateway.core.supervisor import Supervisor
from gateway.core.ticker import Ticker
from gateway.engines.registry import EngineRegistry


async def serving(*seats: int) -> EngineRegistry:
    """Engines with so many seats each, all up; nothing is asked of them."""
    loop = asyncio.get_running_loop()
    numbers: dict[str, Any] = {"max_num_batched_tokens": 2048, "max_model_len": 4096, "kv_cache_tokens": 65536}
    engines = [
        EngineSettings(
            name=f"e{index}", url=f"http://127.0.0.{index + 1}:1", models=("m",), max_num_seqs=most, **numbers
        )
        for index, most in enumerate(seats)
    ]
    registry = EngineRegistry(engines, Polling(), RoutingSettings(), Ticker(loop, Supervisor()), loop)
    registry.start()
    while len(registry.replicas()) < len(seats):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    for address in registry.replicas():
        address.polled(["m"], None)
        address.proved()
    return registry
