"""The load counts what came, and what did not."""

from __future__ import annotations

from gateway.bench.load import closed_loop, paced_streams
from tests.gateway.harness import Engine


def port_of(engine: Engine) -> int:
    return int(engine.url.rpartition(":")[2])


async def test_streams_are_counted_by_event(engine: Engine) -> None:
    counts = await paced_streams(port_of(engine), streams=3, tokens=10, seconds=2)
    assert (counts.answers, counts.failures, counts.chunks) == (3, 0, 3 * 11)
    assert len(counts.ttft_s) == 3
    assert all(0.01 < seconds < 2 for seconds in counts.ttft_s)


async def test_a_stream_that_does_not_end_has_failed(engine: Engine) -> None:
    engine.turn(fault="mid-stream")
    counts = await paced_streams(port_of(engine), streams=3, tokens=10, seconds=1)
    assert (counts.answers, counts.failures) == (0, 3)


async def test_answers_are_counted_until_the_time_is_up(engine: Engine) -> None:
    engine.turn(ttft_ms=50, itl_ms=0)
    counts = await closed_loop(port_of(engine), connections=2, seconds=0.5)
    assert 4 <= counts.answers <= 22
