"""What is noted of a request when its answer begins."""

from __future__ import annotations

import asyncio

import pytest

from gateway.admission.slots import Slot
from gateway.config.settings import EngineSettings, Limits, Polling
from gateway.core.call import Call
from gateway.dialects.openai import OpenAI
from gateway.engines.replica import Replica
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


class Owner:
    """Whose slots are not given back here."""

    def left(self, slot: Slot) -> None:  # noqa: ARG002
        raise AssertionError

    def moved(self, slot: Slot, engine: Replica) -> None:  # noqa: ARG002
        raise AssertionError


async def first_piece(stream: bool, status: int) -> tuple[Slot, float]:
    """The slot of a request that came 2.5 s before the first piece of its answer, and the TTFT that was observed."""
    loop = asyncio.get_running_loop()
    request = Request("req-1", loop.time() - 2.5)
    request.call = call = Call("tiny", stream, b"/v1/chat/completions", b"{}", prompt_tokens=70)
    request.endpoint, request.model = "/v1/chat/completions", "tiny"
    metrics, dialect = Metrics(["tiny"]), OpenAI(dict)
    reply = Reply(request, Client(), lambda reply: None, dialect)  # noqa: ARG005
    pool = Pool("127.0.0.1", 1, loop)
    engine = EngineSettings(
        name="e", url="http://127.0.0.1:1", models=("tiny",), max_num_seqs=8, max_num_batched_tokens=2048,
        max_model_len=4096, kv_cache_tokens=65536,
    )  # fmt: skip
    slot = Slot(Owner(), request)
    slot.engine = Replica(engine, "127.0.0.1", pool, Polling(), lambda: None)
    slot.engine.take(slot)
    assert slot.engine.unread == (70 if stream else 0)
    connection = EngineConnection(pool)
    relay = Relay(reply, connection, slot, dialect, UsageMeter(call), Surroundings(Limits(), metrics, loop))
    head = Head()
    head.status = status
    head.be_of(b"text/event-stream" if stream and status == 200 else b"application/json")
    relay.on_head(head)
    relay.on_data(TOKEN)
    return slot, sum(histogram.sum for histogram in metrics.ttft.values())


async def test_a_streams_first_event_is_its_ttft_when_it_happens() -> None:
    slot, observed = await first_piece(stream=True, status=200)
    record = slot.record
    assert slot.unread == slot.engine.unread == 0  # it is read
    assert record.stage == "streaming" and record.ttft == observed and 2.5 <= observed < 5


@pytest.mark.parametrize(("stream", "status"), [(False, 200), (True, 400)])
async def test_what_is_no_stream_of_tokens_has_none(stream: bool, status: int) -> None:
    slot, observed = await first_piece(stream, status)
    record = slot.record
    assert record.stage == "streaming" and record.ttft is None and observed == 0
