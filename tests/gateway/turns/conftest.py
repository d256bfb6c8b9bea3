from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.gateway.turns.worlds import World


@pytest.fixture
def start_world() -> Iterator[Callable[..., World]]:
    started: list[World] = []

    def start(*args: Any, **settings: Any) -> World:
        started.append(World(*args, **settings))
        return started[-1]

    yield start
    for world in started:
        world.stop()
