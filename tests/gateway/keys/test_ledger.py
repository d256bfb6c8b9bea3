"""Tokens by key, model and day: exact where the engine counts, told apart where it could not; never seen by clients."""

from __future__ import annotations

import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.core.call import Usage
from gateway.keys.ledger import Ledger, day_of, merge, write
from gateway.keys.store import KeyStore
from tests.gateway.harness import Engine, Gateway, Raw, chat, chat_bytes, post_bytes, used, wait_until

CHAT, COMPLETIONS, EMBEDDINGS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
SOON_S = 3.0


def sums(store: Path) -> tuple[int, ...]:
    """Requests, prompt, completion tokens and estimated requests over all."""
    names = ("requests", "prompt_tokens", "completion_tokens", "estimated")
    lines = used(store)
    return tuple(sum(line[name] for line in lines) for name in names)


def test_p78_what_engines_count_is_added_up_exactly(gateway_with_store: Gateway, store: Path) -> None:
    prompt = completion = 0
    with gateway_with_store.client() as client:
        for number in range(1, 6):
            usage = client.post(CHAT, json=chat(max_tokens=number)).json()["usage"]
            prompt, completion = prompt + usage["prompt_tokens"], completion + usage["completion_tokens"]
            client.post(COMPLETIONS, json={"model": "tiny", "prompt": "x" * 80, "stream": True, "max_tokens": number})
            prompt, completion = prompt + 20, completion + number
        usage = client.post(EMBEDDINGS, json={"model": "tiny", "input": ["x" * 40, "y" * 40]}).json()["usage"]
        assert (usage["prompt_tokens"], usage["completion_tokens"]) == (20, 0)
    wait_until(lambda: sums(store)[0] == 11, SOON_S, "all written")
    assert sums(store) == (11, prompt + 20, completion, 0)
    (line,) = used(store, "--by", "day,key,model")
    assert (line["day"], line["model"]) == (time.strftime("%Y-%m-%d", time.gmtime()), "tiny")
    assert len(line["key"]) == 8 and line["key"] in gateway_with_store.metrics()


def test_p79_a_stream_that_is_left_is_counted_as_far_as_it_came(
    gateway_with_store: Gateway, engine: Engine, store: Path
) -> None:
    engine.turn(itl_ms=20)
    body = chat_bytes(stream=True, max_tokens=1000)
    with Raw(gateway_with_store.port) as raw:
        raw.send(post_bytes(body, f"Content-Length: {len(body)}"))
        got = b""
        while got.count(b"data: ") < 10:
            got += raw.read_until(b"data: ")
    wait_until(lambda: sums(store)[0] == 1, SOON_S, "written")
    requests, prompt, completion, estimated = sums(store)
    assert (requests, estimated) == (1, 1)
    assert prompt == len(body) // 4
    assert 9 <= completion < 60


@pytest.mark.parametrize("stream", [True, False])
def test_p79_left_before_the_first_byte_costs_the_prompt(
    gateway_with_store: Gateway, engine: Engine, store: Path, stream: bool
) -> None:
    engine.turn(ttft_ms=60_000)
    body = chat_bytes(stream=stream)
    with Raw(gateway_with_store.port) as raw:
        raw.send(post_bytes(body, f"Content-Length: {len(body)}"))
        wait_until(lambda: engine.running() == 1, 5, "running")
    wait_until(lambda: sums(store)[0] == 1, SOON_S, "written")
    assert sums(store) == (1, len(body) // 4, 0, 1)


def test_p79_left_in_the_queue_costs_nothing(
    start_gateway: Callable[..., Gateway], engine: Engine, store: Path
) -> None:
    slots = 3  # so few that none of them are kept for other keys
    gateway = start_gateway([engine.url], store=str(store), engine_numbers={"max_num_seqs": slots})
    gateway.wait_up()
    engine.turn(ttft_ms=60_000)
    body = chat_bytes(stream=True)
    request = post_bytes(body, f"Content-Length: {len(body)}")
    with ExitStack() as running, ExitStack() as queued:
        for _ in range(slots):
            running.enter_context(Raw(gateway.port)).send(request)
        wait_until(lambda: engine.running() == slots, 5, "every place taken")
        for _ in range(2):
            queued.enter_context(Raw(gateway.port)).send(request)
        wait_until(lambda: gateway.metric("gateway_queue_depth") == 2, 5, "two in the queue")
        # These first: a place that becomes free would be theirs, and rightly billed.
        queued.close()
        wait_until(lambda: gateway.metric("gateway_queue_depth") == 0, 5, "nobody in the queue")
    wait_until(lambda: engine.running() == 0, 5, "all gone")
    wait_until(lambda: sums(store)[0] >= slots, SOON_S, "written")
    assert sums(store) == (slots, slots * (len(body) // 4), 0, slots)


def test_p78_what_an_engine_refuses_or_breaks_is_not_billed(
    gateway_with_store: Gateway, engine: Engine, store: Path
) -> None:
    with gateway_with_store.client() as client:
        assert client.post(CHAT, json=chat(max_tokens=100_000)).status_code == 400
        engine.turn(fault="before-headers")
        assert client.post(CHAT, json=chat()).status_code == 502
        engine.turn(fault="none")
        gateway_with_store.wait_up()
        assert client.post(CHAT, json=chat(max_tokens=2)).status_code == 200
    wait_until(lambda: sums(store)[0] > 0, SOON_S, "written")
    assert sums(store)[0] == 1 and sums(store)[2] == 2


class Scripted:
    """An engine that answers with the bytes it is given, in the pieces it is given, and keeps what it was asked."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.asked: list[dict[str, Any]] = []
        self.url = ""

    def stream(self, *pieces: bytes) -> None:
        head = (
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        self.pieces = [head, *(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces), b"0\r\n\r\n"]

    def whole(self, body: bytes, cut: int = 1) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        self.pieces = [head, body[:cut], body[cut:]]


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    script = Scripted()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while data := self.request.recv(1 << 20):
                if data.startswith(b"GET"):
                    body = b'{"data":[{"id":"tiny"}]}'
                    self.request.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
                    continue
                asked = orjson.loads(data.partition(b"\r\n\r\n")[2])
                if "prompt" in asked:  # the gateway's own, which wants to see one token
                    self.request.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
                    continue
                script.asked.append(asked)
                for piece in script.pieces:
                    self.request.sendall(piece)
                    time.sleep(0.03)  # so that each piece is a read of its own

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        script.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield script
        server.shutdown()


def event(**members: Any) -> bytes:
    return b"data: " + orjson.dumps({"id": "c", "object": "chat.completion.chunk"} | members) + b"\n\n"


USAGE = event(choices=[], usage={"prompt_tokens": 7, "total_tokens": 18, "completion_tokens": 11})
DONE = b"data: [DONE]\n\n"
TOOL = event(
    choices=[
        {"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": '{"usage":{"prompt_tokens":9'}}]}}
    ]
)
CHOICES = [event(choices=[{"index": index, "delta": {"content": "ok"}}]) for index in (0, 1)]
LOOKALIKE = event(choices=[{"index": 0, "delta": {"content": '"usage":{"prompt_tokens":99,"choices":[]'}}])
NO_UTF8 = b'data: {"choices":[{"index":0,"delta":{"content":"\xff\xfe"}}]}\n\n'


@pytest.mark.parametrize(
    ("pieces", "seen"),
    [
        ([CHOICES[0], USAGE, DONE], CHOICES[0] + DONE),
        ([CHOICES[0] + USAGE + DONE], CHOICES[0] + DONE),
        ([CHOICES[0], USAGE + DONE], CHOICES[0] + DONE),
        ([CHOICES[0] + USAGE[:20], USAGE[20:] + DONE], CHOICES[0] + DONE),
        ([CHOICES[0], USAGE[:-1], USAGE[-1:], DONE], CHOICES[0] + DONE),
        ([*(bytes([byte]) for byte in USAGE[:-40]), USAGE[-40:] + DONE], DONE),
        ([CHOICES[0], CHOICES[1], USAGE, DONE], CHOICES[0] + CHOICES[1] + DONE),
        ([TOOL, LOOKALIKE, USAGE, DONE], TOOL + LOOKALIKE + DONE),
        ([NO_UTF8, USAGE, DONE], NO_UTF8 + DONE),
    ],
    ids=["apart", "together", "with-done", "split", "split-at-the-end", "bytewise", "n=2", "tool-call", "not-utf8"],
)
def test_p81_usage_is_asked_upstream_counted_and_not_leaked(
    start_gateway: Callable[..., Gateway], scripted: Scripted, store: Path, pieces: list[bytes], seen: bytes
) -> None:
    gateway = start_gateway([scripted.url], store=str(store))
    gateway.wait_up()
    scripted.stream(*pieces)
    with gateway.client(60) as client:
        answer = client.post(CHAT, json=chat(True, n=2))
    assert answer.content == seen
    assert scripted.asked[-1] == chat(True, n=2) | {"stream_options": {"include_usage": True}}
    wait_until(lambda: sums(store)[0] == 1, SOON_S, "written")
    assert sums(store) == (1, 7, 11, 0)


@pytest.mark.parametrize(
    ("options", "sent", "leaks"),
    [
        ({"include_usage": True}, {"include_usage": True}, True),
        ({"include_usage": False}, {"include_usage": True, "continuous_usage_stats": False}, False),
        (None, {"include_usage": True, "continuous_usage_stats": False}, False),
        ({"continuous_usage_stats": True}, {"include_usage": True, "continuous_usage_stats": False}, False),
        ({"include_usage": True, "continuous_usage_stats": True},) * 2 + (True,),
    ],
)
def test_p81_whoever_asks_for_usage_gets_it(
    start_gateway: Callable[..., Gateway], scripted: Scripted, options: Any, sent: Any, leaks: bool
) -> None:
    gateway = start_gateway([scripted.url])
    gateway.wait_up()
    scripted.stream(CHOICES[0], USAGE, DONE)
    with gateway.client() as client:
        answer = client.post(CHAT, json=chat(True, stream_options=options))
    assert (USAGE in answer.content) is leaks
    assert answer.content.startswith(CHOICES[0]) and answer.content.endswith(DONE)
    assert scripted.asked[-1]["stream_options"] == sent


@pytest.mark.parametrize("cut", [1, 300_000, -60, -30])
def test_p78_a_large_embedding_is_counted_wherever_it_is_split(
    start_gateway: Callable[..., Gateway], scripted: Scripted, store: Path, cut: int
) -> None:
    gateway = start_gateway([scripted.url], store=str(store))
    gateway.wait_up()
    usage = {"prompt_tokens": 12345, "total_tokens": 12345, "completion_tokens": 0}
    body = orjson.dumps({"object": "list", "data": [{"embedding": [0.123456] * 40_000}], "usage": usage})
    scripted.whole(body, cut)
    with gateway.client() as client:
        assert client.post(EMBEDDINGS, json={"model": "tiny", "input": "x"}).content == body
    wait_until(lambda: sums(store)[0] == 1, SOON_S, "written")
    assert sums(store) == (1, 12345, 0, 0)


def test_sums_are_kept_by_key_model_day_and_exactness(store: Path) -> None:
    ledger = Ledger()
    ledger.add("a", "m", Usage(10, 5, 4, exact=True))
    ledger.add("a", "m", Usage(1, 1, 0, exact=True))
    ledger.add("a", "m", Usage(2, 3))
    ledger.add("b", "n", Usage(7, 0, exact=True))
    tally = ledger.take()
    assert ledger.take() == {}
    opened = KeyStore(store)
    connection = opened.connection
    write(connection, {"2026-11-22": tally, "2026-11-23": {("a", "m", True): [1, 100, 0, 0]}}, {})
    everything = ("0", "9")
    lines = {line.name: line for line in opened.report(["key"], *everything)}
    assert lines["a"].requests == 4 and lines["a"].prompt_tokens == 113 and lines["a"].estimated == 1
    assert (lines["a"].completion_tokens, lines["a"].cached_tokens, lines["b"].prompt_tokens) == (9, 4, 7)
    assert [line.name for line in opened.report(["day"], "2026-11-23", "2026-11-23")] == ["2026-11-23"]
    assert sum(line.requests for line in opened.report(["day", "key", "model"], *everything)) == 5


def test_tallies_are_merged() -> None:
    into = {("a", "m", True): [1, 2, 3, 4]}
    merge(into, {("a", "m", True): [1, 1, 1, 1], ("b", "m", False): [5, 6, 7, 8]})
    assert into == {("a", "m", True): [2, 3, 4, 5], ("b", "m", False): [5, 6, 7, 8]}


def test_days_are_utc() -> None:
    assert day_of(0) == "1970-01-01"
    assert [day_of(1_795_391_999.9), day_of(1_795_392_000)] == ["2026-11-22", "2026-11-23"]
