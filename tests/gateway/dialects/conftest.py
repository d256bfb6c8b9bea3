"""What the tests of dialects share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ollama import Client

from tests.gateway.harness import KEY, Gateway


@pytest.fixture
def sdk(gateway: Gateway) -> Iterator[Client]:
    with Client(gateway.url, headers={"authorization": f"Bearer {KEY}"}) as client:
        yield client
