"""Sends spans by OpenTelemetry's SDK, in a thread of its own: nothing of it is in a request's way.

A request is one span, with up to three below it: `queue`, in the queue for a place; `dispatch`, from asking the engine
to its first byte, which is the parent of the engine's own span; `relay`, from there to the last byte.
"""

from __future__ import annotations

import logging
import queue
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from gateway.config.tracing_settings import TracingSettings
from gateway.core.supervisor import Supervisor
from gateway.telemetry.traces import EndedRequest, Traces

if TYPE_CHECKING:  # a third of a second and 10 MiB, for those that trace
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan

PATH = "/v1/traces"
# Requests in one message to the collector, and how long a first one waits for others.
BATCH, PAUSE_S = 256, 1.0
TIMEOUT_S = 5.0
LAST_S = 2.0
SCOPE = "fullbatch.gateway"
_log = logging.getLogger("gateway")


class SpanSender(Protocol):
    """Of the SDK, or a test's."""

    def export(self, spans: Sequence[ReadableSpan]) -> object:
        """Send them; its result's name is SUCCESS where they were taken."""


class SpanExport:
    """The thread: takes what `Traces` has gathered, and sends it. ``failures``: messages that no collector took."""

    def __init__(self, traces: Traces, settings: TracingSettings, deployment: str, supervisor: Supervisor) -> None:
        self._traces = traces
        self._url = settings.url + PATH
        self._deployment = deployment
        self._thread = supervisor.thread("traces", self._run)
        self._told = False
        self._lost_told = 0
        self.failures = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Send what is left, unless nobody takes it."""
        self._traces.waiting.put(None)
        self._thread.join(LAST_S)

    def _run(self) -> None:
        exporter, resource = _exporter(self._url), _resource(self._deployment)
        while (batch := self._next()) is not None:
            spans = [span for one in batch for span in spans_of(one, resource)]
            self.send(exporter, spans)
            if self._traces.lost > self._lost_told:
                lost = self._traces.lost - self._lost_told
                _log.warning("traces: those of %d requests were lost: the collector is too slow", lost)
                self._lost_told = self._traces.lost

    def send(self, exporter: SpanSender, spans: Sequence[ReadableSpan]) -> None:
        """One message; told once when a collector is gone, and once when it is back."""
        taken = getattr(exporter.export(spans), "name", "") == "SUCCESS"
        if not taken:
            self.failures += 1
        if taken == self._told:
            self._told = not taken
            _log.warning("traces: %s %s", self._url, "takes spans again" if taken else "takes no spans; they are lost")

    def _next(self) -> list[EndedRequest] | None:
        """The next ones to send; None at the end."""
        first = self._traces.waiting.get()
        if first is None:
            return None
        batch = [first]
        while len(batch) < BATCH:
            try:
                one = self._traces.waiting.get(timeout=PAUSE_S)
            except queue.Empty:
                break
            if one is None:
                self._traces.waiting.put(None)  # to end with next time
                break
            batch.append(one)
        return batch


def spans_of(one: EndedRequest, resource: Resource) -> Iterator[ReadableSpan]:
    """Of one request, the outermost last."""
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

    traced, scope = one.trace, InstrumentationScope(SCOPE)

    def context(span: bytes, remote: bool = False) -> SpanContext:
        return SpanContext(int(traced.trace_id, 16), int(span, 16), remote, TraceFlags(TraceFlags.SAMPLED))

    def at(loop_seconds: float) -> int:
        return int((one.ended_unix - (one.ended - loop_seconds)) * 1e9)

    whole = context(traced.span)
    for name, span_id, kind, start, end in _parts(one):
        yield ReadableSpan(
            name, context(span_id), whole, resource, kind=SpanKind.CLIENT if kind else SpanKind.INTERNAL,
            start_time=at(start), end_time=at(end), instrumentation_scope=scope,
        )  # fmt: skip
    failed = one.status >= 500 or one.outcome in ("engine_error", "engine_timeout", "cut", "internal")
    yield ReadableSpan(
        f"POST {one.endpoint}", whole, context(traced.parent, remote=True) if traced.parent else None, resource,
        _attributes(one), kind=SpanKind.SERVER, start_time=at(one.received), end_time=at(one.ended),
        status=Status(StatusCode.ERROR, one.error or one.outcome) if failed else Status(),
        instrumentation_scope=scope,
    )  # fmt: skip


def _parts(one: EndedRequest) -> Iterator[tuple[str, bytes, bool, float, float]]:
    """Name, id, whether it asks somebody else, begin and end by the loop's clock."""
    traced = one.trace
    if traced.queued:
        yield "queue", _below(traced.dispatch, 1), False, traced.queued, traced.admitted or one.ended
    if traced.sent:
        yield "dispatch", traced.dispatch, True, traced.sent, traced.first or one.ended
    if traced.first:
        yield "relay", _below(traced.dispatch, 2), False, traced.first, one.ended


def _below(span: bytes, number: int) -> bytes:
    """Another id beside a random one, never zero."""
    return b"%016x" % ((int(span, 16) + number) % 2**64 or 3)


def _attributes(one: EndedRequest) -> dict[str, str | int]:
    """Names of OpenTelemetry's conventions where it has some. Never a text, never a key's secret."""
    return {
        "http.request.method": "POST",
        "http.route": one.endpoint,
        "http.response.status_code": one.status,
        "gen_ai.request.model": one.model,
        "gen_ai.usage.input_tokens": one.prompt_tokens,
        "gen_ai.usage.output_tokens": one.output_tokens,
        "fullbatch.cached_tokens": one.cached_tokens,
        "fullbatch.request_id": one.id,
        "fullbatch.key": one.key,
        "fullbatch.engine": one.engine,
        "fullbatch.engine_address": one.address,
        "fullbatch.outcome": one.outcome,
    }


def _resource(deployment: str) -> Resource:
    from opentelemetry.sdk.resources import Resource

    return Resource({"service.name": "fullbatch-gateway", "deployment.environment.name": deployment})


def _exporter(url: str) -> SpanSender:
    import requests
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # `send` tells it, once
    session = requests.Session()
    session.trust_env = False  # a proxy for the world outside is no way to a collector beside us
    return OTLPSpanExporter(endpoint=url, timeout=TIMEOUT_S, session=session)
