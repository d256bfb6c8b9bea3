"""What is known of an address from the answers that pass."""

from __future__ import annotations

import asyncio

from gateway.core.errors import EngineSilent, GatewayError
from gateway.engines.destination import Destination
from gateway.http.client import Pool


class Request:
    unread = 0
    blocked = False
    structured_since = 0.0
    level = 1

    def __init__(self, last_byte_at: float) -> None:
        self.last_byte_at = last_byte_at

    def cut(self, error: EngineSilent) -> None: ...

    def stop(self, error: GatewayError) -> None: ...


async def test_the_last_byte_is_remembered_beyond_the_request_that_brought_it() -> None:
    target = Destination(Pool("::1", 1, asyncio.get_running_loop()), "engine 'e'", b"e")
    first, second = Request(3.0), Request(2.0)
    target.underway.update((first, second))
    target.ended(first)
    assert (target.last_byte_at, target.underway) == (3.0, {second})
