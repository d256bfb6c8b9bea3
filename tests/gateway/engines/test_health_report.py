"""An engine is as good as its best address."""

from __future__ import annotations

from gateway.engines.health_report import of_engine
from tests.gateway.engines.registries import serving


async def test_one_address_down_leaves_the_engine_up_and_is_named() -> None:
    registry = await serving(4)
    (address,) = registry.replicas()
    assert of_engine(address.engine, [address], "", 0.0).state == "up"
    address.lost("gone")
    found = of_engine(address.engine, [address], "", 0.0)
    assert (found.state, found.reason, found.up, found.replicas) == ("down", "gone", 0, 1)
    registry.stop()


async def test_an_engine_without_an_address_is_starting_and_says_why() -> None:
    registry = await serving(4)
    found = of_engine(registry.engines[0], [], "its name is not known", 12.0)
    assert (found.state, found.since, found.reason) == ("starting", 12.0, "its name is not known")
    registry.stop()
