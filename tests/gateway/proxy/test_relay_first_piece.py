"""What is noted of a request when its answer begins."""

from __future__ import annotations

import asyncio

import pytest

from gateway.config.settings import Limits
from gateway.core.call import Call
from gateway.dialects.openai import OpenAI
from gateway.http.client import EngineConnection, Head, Pool
from gateway.http.messages import Request
from gateway.http.reply import Reply
from gateway.proxy.relay import Relay, Surroundings
from gateway.proxy.usage_meter import UsageMeter
from gateway.telemetry.metrics import Metrics
from tests.gateway.proxy.test_relay import TOKEN


class Client(asyncio.Transport):
    """One that takes all."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def is_closing(self) -> bool:
        return False


async def first_piece(stream: bool, status: int) -> tuple[Request, float]:
    """The record of a request that came 2.5 s before the first piece of its answer, and the TTFT that was observed."""
    loop = asyncio.get_running_loop()
    request = Request("req-1", loop.time() - 2.5)
    request.call = call = Call("tiny", stream, b"/v1/chat/completions", b"{}")
    request.endpoint, request.model = "/v1/chat/completions", "tiny"
    metrics, dialect = Metrics(["tiny"]), OpenAI(dict)
    reply = Reply(request, Client(), lambda reply: None, dialect)  # noqa: ARG005
    connection = EngineConnection(Pool("127.0.0.1", 1, loop))
    relay = Relay(reply, connection, "engine", dialect, UsageMeter(call), Surroundings(Limits(), metrics, loop))
    head = Head()
    head.status = status
    head.be_of(b"text/event-stream" if stream and status == 200 else b"application/json")
    relay.on_head(head)
    relay.on_data(TOKEN)
    return request, sum(histogram.sum for histogram in metrics.ttft.values())


async def test_a_streams_first_event_is_its_ttft_when_it_happens() -> None:
    record, observed = await first_piece(stream=True, status=200)
    assert record.stage == "streaming" and record.ttft == observed and 2.5 <= observed < 5


@pytest.mark.parametrize(("stream", "status"), [(False, 200), (True, 400)])
async def test_what_is_no_stream_of_tokens_has_none(stream: bool, status: int) -> None:
    record, observed = await first_piece(stream, status)
    assert record.stage == "streaming" and record.ttft is None and observed == 0
