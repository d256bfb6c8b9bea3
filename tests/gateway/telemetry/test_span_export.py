"""Spans as OpenTelemetry's SDK has them, and a collector that comes and goes."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from gateway.config.tracing_settings import TracingSettings
from gateway.core.record import RequestRecord
from gateway.core.supervisor import Supervisor
from gateway.telemetry import span_export
from gateway.telemetry.span_export import SpanExport, spans_of
from gateway.telemetry.traces import EndedRequest, Traces

PARENT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def ended(outcome: str = "ok", status: int = 200, whole: bool = True) -> EndedRequest:
    record, traces = RequestRecord("req-1", 10.0), Traces(True, 1.0)
    traces.begin(record, {b"traceparent": PARENT})
    record.endpoint, record.model, record.outcome = "/v1/chat/completions", "tiny", outcome
    assert record.trace is not None
    record.trace.queued = 10.1
    if whole:
        record.trace.admitted, record.trace.sent, record.trace.first = 10.5, 10.6, 11.0
    traces.add(record, status, 12.0)
    one = traces.waiting.get_nowait()
    assert one is not None
    return one


def spans(one: EndedRequest) -> dict[str, ReadableSpan]:
    return {span.name: span for span in spans_of(one, Resource({}))}


def test_a_request_is_a_span_with_its_parts_below_it() -> None:
    found = spans(ended())
    assert list(found) == ["queue", "dispatch", "relay", "POST /v1/chat/completions"]
    top = found["POST /v1/chat/completions"]
    assert top.kind is SpanKind.SERVER and top.parent is not None
    assert f"{top.context.trace_id:032x}-{top.parent.span_id:016x}" == PARENT.decode()[3:52]
    assert top.attributes is not None and top.attributes["gen_ai.request.model"] == "tiny"
    assert top.status.status_code is StatusCode.UNSET
    for name in ("queue", "dispatch", "relay"):
        part = found[name]
        assert part.parent is not None and part.parent.span_id == top.context.span_id
        assert part.context.trace_id == top.context.trace_id
        assert (top.start_time or 0) <= (part.start_time or 0) <= (part.end_time or 0) <= (top.end_time or 0)
    assert len({span.context.span_id for span in found.values()}) == 4
    lasted = {name: round(((span.end_time or 0) - (span.start_time or 0)) / 1e9, 3) for name, span in found.items()}
    assert lasted == {"queue": 0.4, "dispatch": 0.4, "relay": 1.0, "POST /v1/chat/completions": 2.0}


def test_one_that_was_refused_in_the_queue_has_no_more_than_that() -> None:
    found = spans(ended("no_engine", 503, whole=False))
    assert list(found) == ["queue", "POST /v1/chat/completions"]
    assert found["POST /v1/chat/completions"].status.status_code is StatusCode.ERROR


def test_a_cut_answer_is_an_error_though_its_status_was_200() -> None:
    assert spans(ended("cut"))["POST /v1/chat/completions"].status.description == "cut"


def test_a_collector_that_goes_and_comes_is_told_of_once_each(caplog: pytest.LogCaptureFixture) -> None:
    class Gone:
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            return SpanExportResult.FAILURE if spans else SpanExportResult.FAILURE

    there = InMemorySpanExporter()
    sender = SpanExport(Traces(True, 1.0), TracingSettings(url="http://collector:4318"), "test", Supervisor())
    batch = list(spans_of(ended(), Resource({})))
    with caplog.at_level(logging.WARNING, "gateway"):
        for exporter in (there, Gone(), Gone(), there, there):
            sender.send(exporter, batch)
    assert [record.getMessage().split(" takes ")[1] for record in caplog.records] == [
        "no spans; they are lost",
        "spans again",
    ]
    assert sender.failures == 2
    assert len(there.get_finished_spans()) == 3 * len(batch)


def test_the_last_ones_are_sent_before_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    there, traces = InMemorySpanExporter(), Traces(True, 1.0)
    monkeypatch.setattr(span_export, "_exporter", lambda _url: there)
    sender = SpanExport(traces, TracingSettings(url="http://collector:4318"), "test", Supervisor())
    traces.waiting.put(ended())
    sender.start()
    sender.stop()
    assert len(there.get_finished_spans()) == 4
