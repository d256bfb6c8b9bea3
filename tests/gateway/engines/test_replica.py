"""What makes an address serve, and what it is said to be when it does not."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.config.settings import EngineSettings, Polling
from gateway.core.errors import EngineSilent, GatewayError
from gateway.engines.kv_occupancy import Hold
from gateway.engines.replica import Replica
from gateway.engines.vllm_metrics import Report
from gateway.http.client import Pool

REPORT = Report(0, 0, 0, 1, 1, 1, 0)


class Bench:
    """An address, and how often it said that it serves something else than before."""

    def __init__(self) -> None:
        numbers: dict[str, Any] = {
            "max_num_seqs": 8,
            "max_num_batched_tokens": 2048,
            "max_model_len": 4096,
            "kv_cache_tokens": 65536,
        }
        engine = EngineSettings(name="e", url="http://127.0.0.1:1", models=("m", "n"), **numbers)
        self.changes = 0
        self.address = Replica(engine, "::1", Pool("::1", 1, asyncio.get_running_loop()), Polling(), self._changed)

    def _changed(self) -> None:
        self.changes += 1

    def up(self) -> Replica:
        self.address.polled(["m"], REPORT)
        self.address.proved()
        return self.address


class Request:
    """Something underway."""

    def __init__(self, unread: int, last_byte_at: float) -> None:
        self.unread = unread
        self.last_byte_at = last_byte_at
        self.blocked = False
        self.structured_since = 0.0
        self.error: EngineSilent | None = None

    @property
    def level(self) -> int:
        return 1

    def stop(self, error: GatewayError) -> None:
        raise AssertionError(error)

    def cut(self, error: EngineSilent) -> None:
        self.error = error


async def test_p90_listing_a_model_is_not_enough_to_serve_it() -> None:
    bench = Bench()
    bench.address.polled(["m"], REPORT)
    assert (bench.address.state, bench.address.models) == ("starting", frozenset())
    assert bench.address.reason == "answers; a first token is awaited"
    bench.address.proved()
    assert bench.address.models == {"m"} and bench.address.reason == ""


async def test_p90_whatever_was_lost_has_to_prove_itself_again() -> None:
    bench = Bench()
    address = bench.up()
    address.lost("connection refused")
    assert (address.state, address.reason) == ("down", "connection refused")
    address.polled(["m"], REPORT)
    assert (address.state, address.models) == ("down", frozenset())
    assert "a first token is awaited" in address.reason
    address.proved()
    assert address.state == "up"


async def test_p13_another_model_at_the_address_is_nothing_to_us() -> None:
    address = Bench().up()
    address.polled([], REPORT)
    assert address.reason == "it does not list m or n at /v1/models"
    address.polled(["n"], REPORT)
    assert address.models == frozenset()
    address.proved()
    assert address.models == {"n"}


async def test_what_put_it_out_is_said_until_it_is_back() -> None:
    address = Bench().up()
    address.out("it is frozen: it has work and no token came for 11 s")
    address.polled(["m"], REPORT)
    assert address.state == "down" and "no token came for 11 s" in address.reason


async def test_changes_are_told_once() -> None:
    bench = Bench()
    bench.up()
    bench.address.polled(["m"], REPORT)
    assert bench.changes == 1
    bench.address.lost("gone")
    bench.address.lost("gone")
    assert bench.changes == 2


async def test_p11_work_is_added_and_taken_away_without_a_rest() -> None:
    address = Bench().up()
    holds = [Hold(1, 1, 1, work, 0) for work in (0.1, 0.2, 0.3)]
    for hold in holds:
        address.take(hold)
    assert (address.in_flight, round(address.work, 6)) == (3, 0.6)
    for index in (2, 0, 1):
        address.give(holds[index])
    assert (address.in_flight, address.work) == (0, 0.0)


async def test_p89_its_limit_comes_from_its_reports() -> None:
    address = Bench().up()
    assert address.limit == 8
    for _ in range(8):
        address.take(Hold(1, 1, 1, 1, 0))
    for _ in range(2):
        address.polled(["m"], Report(4, 4, 0.5, 1, 1, 1, 0))
    assert address.limit == 5  # four that run, and one that waits for the next step


def small_cache(bench: Bench) -> Replica:
    """Up, with room for 6,400 tokens."""
    bench.up().polled(["m"], Report(0, 0, 0.0, 1, 1, 1, 0, kv_tokens=6400, block_tokens=16))
    return bench.address


async def test_p110_it_has_room_for_tokens_and_seats() -> None:
    address = small_cache(Bench())
    for _ in range(3):
        address.take(Hold(1500, 500, 500, 1, 0))
    assert address.has_room(200, 100, whole=True)
    assert not address.has_room(1000, 500, whole=True)
    for _ in range(5):
        address.take(Hold(10, 10, 10, 1, 0))
    assert not address.has_room(1, 1, whole=True)


async def test_p44_the_reserve_is_an_eighth_of_the_seats_and_of_the_cache() -> None:
    address = small_cache(Bench())
    assert address.reserve == 1
    for _ in range(3):
        address.take(Hold(1300, 500, 500, 1, 0))
    assert address.has_room(400, 500, whole=True)
    assert not address.has_room(400, 500, whole=False)
    for _ in range(4):
        address.take(Hold(10, 10, 10, 1, 0))
    assert address.has_room(10, 10, whole=True)
    assert not address.has_room(10, 10, whole=False)


async def test_p110_what_the_engine_says_that_its_cache_holds_counts() -> None:
    address = Bench().up()
    address.take(Hold(100, 100, 100, 1, 0))
    assert address.has_room(10_000, 2000, whole=True)
    address.polled(["m"], Report(1, 0, 0.0, 1, 1, 1, 0, kv_tokens=4096, block_tokens=16))
    assert not address.has_room(10_000, 2000, whole=True)
    assert address.has_room(3000, 100, whole=True)


async def test_p86_what_is_underway_is_seen_and_cut() -> None:
    address = Bench().up()
    reading, writing = Request(unread=300, last_byte_at=0.0), Request(unread=0, last_byte_at=7.0)
    address.target.underway.update((reading, writing))
    assert address.target.last_byte_at == 7.0
    address.target.ended(writing)
    assert address.target.last_byte_at == 7.0
    address.cut("is frozen")
    assert reading.error is not None and "engine 'e' is frozen" in reading.error.message
    assert writing.error is None
