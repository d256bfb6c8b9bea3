"""What is noted of a request when its answer begins."""

from __future__ import annotations

import pytest

from gateway.core.call import Call
from gateway.dialects.openai import OpenAI
from gateway.proxy.job import Job
from gateway.proxy.usage_meter import UsageMeter
from gateway.telemetry.access_log import RequestRecord
from gateway.telemetry.metrics import Metrics


def job(stream: bool) -> Job:
    call = Call("tiny", stream, b"/v1/chat/completions", b"{}")
    record = RequestRecord("req-1", "/v1/chat/completions", model="tiny")
    return Job(call, OpenAI(dict), UsageMeter(call), record, Metrics(["tiny"]), received=10.0)


def observed(one: Job) -> float:
    return sum(histogram.sum for histogram in one.metrics.ttft.values())


def test_a_streams_first_byte_is_its_ttft_when_it_happens() -> None:
    one = job(stream=True)
    one.begun(200, 12.5)
    assert one.record.stage == "streaming" and one.record.ttft == 2.5 and observed(one) == 2.5


@pytest.mark.parametrize(("stream", "status"), [(False, 200), (True, 400)])
def test_what_is_no_stream_of_tokens_has_none(stream: bool, status: int) -> None:
    one = job(stream)
    one.begun(status, 12.5)
    assert one.record.stage == "streaming" and one.record.ttft is None and observed(one) == 0
