"""A whole gateway that traces, with a collector of this test's: OTLP as the SDK sends it."""

from __future__ import annotations

import http.server
import re
import socket
import threading
from collections.abc import Callable, Iterator

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from prometheus_client.core import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from tests.gateway.harness import Gateway, wait_until
from tests.gateway.scripted import ANSWER, Scripted, whole

CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "hello"}]}
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
OTHER_TRACE = "0af7651916cd43dd8448eb211c80319c"


class Collector:
    """Takes spans."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                said = ExportTraceServiceRequest()
                said.ParseFromString(self.rfile.read(int(self.headers["content-length"])))
                assert self.path == "/v1/traces"
                collector.spans += [
                    span for one in said.resource_spans for scope in one.scope_spans for span in scope.spans
                ]
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: ARG002
                return

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.server.shutdown()
    made.server.server_close()


def answers(_engine: Scripted, connection: socket.socket, _request: bytes) -> None:
    connection.sendall(whole(b"200", ANSWER))


def traceparents(engine: Scripted) -> list[tuple[str, str]]:
    """Of what the engine was asked: trace and parent."""
    found = [re.search(rb"traceparent: 00-(\w{32})-(\w{16})-01\r\n", chat) for chat in engine.chats]
    return [(match[1].decode(), match[2].decode()) if match else ("", "") for match in found]


def test_p320_p321_the_engines_span_lies_below_the_gateways_in_the_clients_trace(
    start_gateway: Callable[..., Gateway], collector: Collector
) -> None:
    engine = Scripted(answers)
    gateway = start_gateway([engine.url], tracing=collector.url, polling={"canary_interval_s": 0})
    gateway.wait_up()
    engine.chats.clear()
    with gateway.client() as client:
        given = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "vendor=1"}
        assert client.post("/v1/chat/completions", json=CHAT, headers=given).status_code == 200
        assert client.post("/v1/chat/completions", json=CHAT).status_code == 200
        assert client.post("/v1/chat/completions", json=CHAT, headers={"traceparent": "00-evil"}).status_code == 200
    wait_until(lambda: len(collector.named("POST /v1/chat/completions")) == 3, 15, "three spans")
    (ours, ours_parent), (made, made_parent), (replaced, _) = traceparents(engine)
    assert ours == TRACE and made not in ("", TRACE) and replaced not in ("", TRACE, made)
    assert b"tracestate: vendor=1\r\n" in engine.chats[0] and b"evil" not in engine.chats[2]
    dispatches = {span.span_id.hex(): span for span in collector.named("dispatch")}
    assert {ours_parent, made_parent} <= set(dispatches), "the engine's parent is a span that the collector has"
    tops = {span.trace_id.hex(): span for span in collector.named("POST /v1/chat/completions")}
    assert tops[TRACE].parent_span_id.hex() == SPAN and tops[made].parent_span_id == b""
    assert dispatches[ours_parent].parent_span_id == tops[TRACE].span_id
    assert {span.name for span in collector.spans} == {"queue", "dispatch", "relay", "POST /v1/chat/completions"}
    assert "hello" not in str(collector.spans), "no text"


def test_p320_without_tracing_a_clients_own_context_reaches_the_engine_and_a_bad_one_does_not(
    start_gateway: Callable[..., Gateway],
) -> None:
    engine = Scripted(answers)
    gateway = start_gateway([engine.url], polling={"canary_interval_s": 0})
    gateway.wait_up()
    engine.chats.clear()
    with gateway.client() as client:
        client.post("/v1/chat/completions", json=CHAT, headers={"traceparent": f"00-{TRACE}-{SPAN}-01"})
        client.post("/v1/chat/completions", json=CHAT, headers={"traceparent": "00-evil", "tracestate": "evil=1"})
        client.post("/v1/chat/completions", json=CHAT)
    assert traceparents(engine) == [(TRACE, SPAN), ("", ""), ("", "")]
    assert not any(b"evil" in chat or b"tracestate" in chat for chat in engine.chats[1:])


def test_p322_a_collector_that_is_gone_costs_no_request(start_gateway: Callable[..., Gateway]) -> None:
    engine = Scripted(answers)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        gateway = start_gateway([engine.url], tracing=f"http://127.0.0.1:{port}", polling={"canary_interval_s": 0})
        gateway.wait_up()
        with gateway.client() as client:
            for _ in range(5):
                assert client.post("/v1/chat/completions", json=CHAT).status_code == 200
        wait_until(lambda: "takes no spans; they are lost" in gateway.stderr(), 30, "a line of the log")
    assert httpx.get(f"{gateway.url}/health").status_code == 200


OPEN_METRICS = {"accept": "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3"}


def streams(_engine: Scripted, connection: socket.socket, _request: bytes) -> None:
    connection.sendall(
        whole(b"200", b'data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: [DONE]\n\n', b"text/event-stream")
    )


def _openmetrics(text: str) -> Iterator[Metric]:
    yield from openmetrics.text_string_to_metric_families(text)  # type: ignore[no-untyped-call]


def first_token_exemplars(text: str) -> list[tuple[dict[str, str], float]]:
    """Trace and seconds of each bucket that has one."""
    return [
        (sample.exemplar.labels, sample.exemplar.value)
        for family in _openmetrics(text)
        for sample in family.samples
        if sample.exemplar is not None and family.name == "gateway_time_to_first_token_seconds"
    ]


def test_p323_a_first_tokens_bucket_names_a_trace_to_who_asks_for_openmetrics(
    start_gateway: Callable[..., Gateway], collector: Collector
) -> None:
    engine = Scripted(streams)
    gateway = start_gateway([engine.url], tracing=collector.url, polling={"canary_interval_s": 0})
    gateway.wait_up()
    with gateway.client() as client:
        kept, left = {"traceparent": f"00-{TRACE}-{SPAN}-01"}, {"traceparent": f"00-{OTHER_TRACE}-{SPAN}-00"}
        for head in (kept, left):
            assert client.post("/v1/chat/completions", json={**CHAT, "stream": True}, headers=head).status_code == 200
    found = httpx.get(f"{gateway.watched}/metrics", headers=OPEN_METRICS)
    assert found.headers["content-type"].startswith("application/openmetrics-text")
    ((labels, seconds),) = first_token_exemplars(found.text)
    assert labels == {"trace_id": TRACE} and 0 < seconds < 60, "only of a trace that is kept"
    assert first_token_exemplars(httpx.get(f"{gateway.url}/metrics", headers=OPEN_METRICS).text)
    plain = httpx.get(f"{gateway.watched}/metrics")
    assert plain.headers["content-type"].startswith("text/plain") and TRACE not in plain.text
    names = {family.name for family in _openmetrics(found.text)}
    assert names == {family.name for family in text_string_to_metric_families(plain.text)}


def test_p323_without_tracing_everybody_gets_the_plain_text(start_gateway: Callable[..., Gateway]) -> None:
    engine = Scripted(streams)
    gateway = start_gateway([engine.url], polling={"canary_interval_s": 0})
    gateway.wait_up()
    with gateway.client() as client:
        head = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
        assert client.post("/v1/chat/completions", json={**CHAT, "stream": True}, headers=head).status_code == 200
    found = httpx.get(f"{gateway.watched}/metrics", headers=OPEN_METRICS)
    assert found.headers["content-type"].startswith("text/plain") and TRACE not in found.text
