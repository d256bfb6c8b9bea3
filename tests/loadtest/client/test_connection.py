"""One request against a server that says exact bytes: each fault has its class, and good answers their times."""

from __future__ import annotations

import socket
import time
from time import perf_counter_ns

import psutil
import pytest

from loadtest.analysis.metrics import e2e_ms, itl_ms, tpot_ms, ttft_ms
from loadtest.client.connection import Server, StreamConnection, server_at
from loadtest.client.record import Record
from loadtest.workload.requests import CHAT_PATH
from tests.loadtest.answers import DONE, asked, event, usage
from tests.loadtest.paced import paced
from tests.loadtest.scripted import SILENCE, STREAM_HEAD, json_answer, scripted

BODY = asked().body([{"role": "user", "content": "one two three"}], 10)
GOOD = event("") + event("a") + event("b", "length") + usage(9, 2) + DONE


def ask(server: Server, connection: StreamConnection | None = None) -> Record:
    used = connection or StreamConnection(server)
    now = perf_counter_ns()
    request = server.request("POST", CHAT_PATH, BODY)
    try:
        return used.exchange(request, Record(1, 0, 0, plan=now, send=now))
    finally:
        if connection is None:
            used.close()


def ask_scripted(*script: bytes) -> Record:
    with scripted(*script) as url:
        return ask(server_at(url, None, first_token_timeout=0.3, stall_timeout=0.3))


def refusal(status: str, extra: bytes = b"") -> bytes:
    return json_answer(status, b'{"error": {"message": "no,\\nnot now"}}', extra)


@pytest.mark.parametrize(
    ("script", "expected", "detail"),
    [
        ([STREAM_HEAD, GOOD], "ok", ""),
        ([STREAM_HEAD, GOOD, SILENCE], "ok", ""),
        ([refusal("401 Unauthorized")], "401", "no, not now"),
        ([refusal("404 Not Found")], "404", "no, not now"),
        ([refusal("429 Too Many Requests", b"Retry-After: 7\r\n")], "429", "Retry-After: 7"),
        ([refusal("503 Service Unavailable")], "503", "no, not now"),
        ([refusal("400 Bad Request")], "4xx", "no, not now"),
        ([refusal("500 Internal Server Error")], "5xx", "no, not now"),
        ([], "cut", "without an answer"),
        ([STREAM_HEAD, event("a")], "cut", "after 1 text events"),
        ([STREAM_HEAD, GOOD.replace(DONE, b"")], "cut", "without [DONE]"),
        ([STREAM_HEAD, event("a"), b'data: {"error": {"message": "died"}}\n\n', DONE], "in-stream error", "died"),
        ([STREAM_HEAD, event("", "stop"), DONE], "empty", "not one token"),
        ([STREAM_HEAD, event("a"), b"data: <oops>\n\n", DONE], "malformed", "not JSON"),
        ([b"220 smtp ready\r\n"], "malformed", "not HTTP"),
        ([json_answer("200 OK", b"{}")], "malformed", "content type"),
        ([STREAM_HEAD, event(""), SILENCE], "timeout", "no text for 0.3 s"),
        ([SILENCE], "timeout", "no text for 0.3 s"),
        ([STREAM_HEAD, event("a"), SILENCE], "stalled", "after 1 text events"),
    ],
)
def test_every_ending_has_its_class(script: list[bytes], expected: str, detail: str) -> None:
    record = ask_scripted(*script)
    assert record.outcome == expected
    assert detail in record.detail and "\n" not in record.detail
    assert record.end >= record.send


def test_a_refused_connection_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    record = ask(server_at(f"http://127.0.0.1:{port}", None))
    assert (record.outcome, record.detail) == ("connect", "Connection refused")


def test_times_and_counts_of_an_engine_with_known_delays(engine: tuple[str, int]) -> None:
    """40 ms to the first token, then 9 gaps of 10 ms. Bounds are wide: the box is busy, the floor is physics."""
    server = server_at(engine[0], None)
    connection = StreamConnection(server)
    ask(server, connection)
    record = ask(server, connection)
    connection.close()
    assert (record.outcome, record.detail, record.tokens) == ("ok", "", 10)
    first, whole, each = ttft_ms(record), e2e_ms(record), tpot_ms(record)
    assert first is not None and 39 <= first < 400
    assert whole is not None and 125 <= whole < 1000
    assert each is not None and 8 < each < 60
    assert sum(events for _, events in record.answer.gaps) + record.answer.first_events == 10


def test_a_kept_connection_that_the_server_closed_is_replaced_before_sending() -> None:
    """As vLLM after five idle seconds: the answer promised keep-alive, then the server closed."""
    kept = STREAM_HEAD.replace(b"Connection: close", b"Content-Length: %d" % len(GOOD))
    with scripted(kept, GOOD) as url:
        server = server_at(url, None)
        connection = StreamConnection(server)
        first = ask(server, connection)
        time.sleep(0.1)
        second = ask(server, connection)
        connection.close()
    assert (first.outcome, second.outcome, second.detail) == ("ok", "ok", "")


def test_a_connection_that_may_be_kept_is_kept(engine: tuple[str, int]) -> None:
    server = server_at(engine[0], None)
    connection = StreamConnection(server)
    before = {one.laddr for one in psutil.Process().net_connections("tcp")}
    ports = set()
    for _ in range(3):
        assert ask(server, connection).ok
        ports |= {one.laddr for one in psutil.Process().net_connections("tcp")} - before
    connection.close()
    assert len(ports) == 1


def test_after_the_first_text_the_shorter_stall_time_counts() -> None:
    with scripted(STREAM_HEAD, event("a"), SILENCE) as url:
        began = time.monotonic()
        record = ask(server_at(url, None, first_token_timeout=60.0, stall_timeout=0.2))
    assert (record.outcome, record.detail) == ("stalled", "no text for 0.2 s after 1 text events")
    assert time.monotonic() - began < 10


KEEP_ALIVE = (b": keep-alive\n\n", b"event: ping\n\n", event(""), b"\n\n")


@pytest.mark.parametrize("alive", KEEP_ALIVE, ids=["comment", "ping", "chunk without text", "blank lines"])
@pytest.mark.parametrize(
    ("first", "ending"),
    [
        ([], ("timeout", "no text for 0.4 s after 0 text events")),
        ([event("a")], ("stalled", "no text for 0.3 s after 1 text events")),
    ],
    ids=["before the first token", "within the answer"],
)
def test_what_keeps_a_stream_open_hides_no_hang(first: list[bytes], ending: tuple[str, str], alive: bytes) -> None:
    parts = [(0.0, event("")), *((0.0, one) for one in first), *[(0.05, alive)] * 400]
    with paced(lambda _: parts) as url:
        began = time.monotonic()
        record = ask(server_at(url, None, first_token_timeout=0.4, stall_timeout=0.3))
    assert (record.outcome, record.detail) == ending
    assert time.monotonic() - began < 10


def test_an_end_that_does_not_come_is_waited_for_once_however_much_else_comes() -> None:
    parts = [(0.0, GOOD), *[(0.2, b": keep-alive\n\n")] * 400]
    with paced(lambda _: parts) as url:
        began = time.monotonic()
        record = ask(server_at(url, None))
    assert record.ok and 4 < time.monotonic() - began < 15


def test_comments_are_neither_tokens_nor_reads_nor_times() -> None:
    pings = [(0.03, b": keep-alive\n\n")] * 3
    parts = [
        (0.0, event("")),
        *pings,
        (0.03, event("a")),
        *pings,
        (0.03, event("b", "stop")),
        (0.0, usage(9, 2) + DONE),
    ]
    with paced(lambda _: parts) as url:
        record = ask(server_at(url, None))
    assert record.ok and (record.tokens, record.answer.events, record.answer.reads) == (2, 2, 2)
    assert (ttft_ms(record) or 0) >= 119 and len(itl_ms(record)) == 1 and itl_ms(record)[0] >= 119


def test_the_request_carries_key_length_and_no_compression() -> None:
    server = server_at("https://example.test/v1/", "fb-secret")
    head, _, body = server.request("POST", CHAT_PATH, b"{}").partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /v1/chat/completions HTTP/1.1"
    assert {b"Authorization: Bearer fb-secret", b"Content-Length: 2", b"Accept-Encoding: identity"} <= set(lines)
    assert b"Host: example.test:443" in lines and body == b"{}"
    assert "fb-secret" not in repr(server)


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://host", "http://", "http://host/api", "http://host:port"])
def test_what_is_not_an_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        server_at(url, None)


def test_a_request_can_carry_an_id() -> None:
    server = server_at("http://127.0.0.1:8080", None)
    assert b"\r\nX-Request-Id: run-1\r\n" in server.request("POST", CHAT_PATH, b"{}", "run-1")
    assert b"X-Request-Id" not in server.request("GET", "/v1/models")


def test_a_refusal_says_when_to_come_back_in_seconds_only() -> None:
    assert ask_scripted(refusal("429 Too Many Requests", b"Retry-After: 7\r\n")).retry_after == 7
    for other in (b"Wed, 21 Oct 2026 07:28:00 GMT", b"-3", b"nan"):
        record = ask_scripted(refusal("503 Service Unavailable", b"Retry-After: " + other + b"\r\n"))
        assert (record.outcome, record.retry_after) == ("503", None)
