"""What an engine sends besides tokens, and answers that are none."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.gateway.engines.watched import URL, wait_all_up
from tests.gateway.harness import Engine, Gateway, Raw, chat, chat_bytes, error_of, post_bytes, wait_until
from tests.gateway.proxy.test_exchange import events_of, outcome_count
from tests.gateway.scripted import ANSWER, Scripted, say, whole

StartEngine = Callable[..., Engine]
StartGateway = Callable[..., Gateway]
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
COMMENT = b": keep-alive\n\n"
PING = b'event: ping\ndata: {"type": "ping"}\n\n'
TOKEN = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def streaming(*first: bytes, then: bytes, every_s: float = 0.2) -> Callable[[Scripted, socket.socket, bytes], object]:
    """Write ``first`` at once, then ``then`` for ever."""

    def chat(_: Scripted, connection: socket.socket, __: bytes) -> object:
        connection.sendall(STREAM_HEAD + b"".join(map(chunked, first)))
        while True:
            time.sleep(every_s)
            connection.sendall(chunked(then))

    return chat


def ask(gateway: Gateway, path: str = URL) -> tuple[bytes, bytes, float]:
    """Head and body (without chunks) of a stream, and how long it took."""
    body, began = chat_bytes(True, max_tokens=50), time.monotonic()
    with Raw(gateway.port, timeout_s=20) as raw:
        raw.send(post_bytes(body, f"Content-Length: {len(body)}", path=path))
        head, _, rest = raw.read_until(b"\r\n0\r\n\r\n").partition(b"\r\n\r\n")
    found = b""
    while rest and rest != b"0\r\n\r\n":
        size, _, rest = rest.partition(b"\r\n")
        found, rest = found + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return head, found, time.monotonic() - began


@pytest.mark.parametrize("nothing", [COMMENT, PING], ids=["comment", "ping"])
@pytest.mark.parametrize("begun", [False, True], ids=["before the first token", "within"])
def test_p143_what_keeps_a_stream_alive_does_not_extend_its_limits(
    start_gateway: StartGateway, nothing: bytes, begun: bool
) -> None:
    engine = Scripted(streaming(*([TOKEN] if begun else []), then=nothing))
    limits = {"first_token_timeout_s": 20, "idle_timeout_s": 1} if begun else {"first_token_timeout_s": 1}
    gateway = start_gateway([engine.url], limits=limits)
    gateway.wait_up()
    head, body, took = ask(gateway, "/v1/messages" if nothing == PING else URL)
    assert head.startswith(b"HTTP/1.1 200 ") and took < 5
    # They passed unchanged, and the failure is told in an event: the head was sent with the first of them.
    assert body.startswith(TOKEN + nothing if begun else nothing) and b"sent no token for 1 s" in body
    assert outcome_count(gateway, "engine_timeout") == 1
    assert gateway.metric("gateway_time_to_first_token_seconds_count") == (1 if begun else 0)
    assert gateway.metric("gateway_tokens_total", kind="completion") == (1 if begun else 0)
    assert len(engine.chats) == 1


@pytest.mark.parametrize("answer", [b"", b" \n \n"], ids=["head alone", "blanks"])
def test_p143_nor_do_a_head_or_blanks_of_a_whole_answer(start_gateway: StartGateway, answer: bytes) -> None:
    def chatting(_: Scripted, connection: socket.socket, __: bytes) -> object:
        connection.sendall(STREAM_HEAD.replace(b"text/event-stream", b"application/json"))
        for _number in range(100):
            time.sleep(0.2)
            if answer:
                connection.sendall(chunked(answer))
        return True

    engine = Scripted(chatting)
    gateway = start_gateway([engine.url], limits={"first_token_timeout_s": 1})
    gateway.wait_up()
    with gateway.client() as client:
        silent = client.post(URL, json=chat())
    assert (silent.status_code, error_of(silent)["code"]) == (504, "engine_silent")


def test_p144_what_hangs_while_later_requests_are_served_is_cut(start_gateway: StartGateway) -> None:
    """A lone engine whose report stands still keeps a stream alive by comments, and brings a canary its token."""
    lines = b"".join(b'\nvllm:num_requests_%b{engine="0"} %d' % line for line in ((b"running", 1), (b"waiting", 0)))
    engine = Scripted(streaming(TOKEN, then=COMMENT), metrics=b"# HELP" + lines + b"\n")
    gateway = start_gateway([engine.url], polling={"frozen_after_s": 1, "canary_interval_s": 0})
    gateway.wait_up()
    _, body, took = ask(gateway)
    assert took < 15 and b"brought nothing for" in body and body.startswith(TOKEN + COMMENT)
    gateway.wait_up()


def test_p143_a_stream_with_comments_is_whole(start_engine: StartEngine, start_gateway: StartGateway) -> None:
    engine = start_engine(sse_keep_alive_s=0.02, ttft_ms=300, itl_ms=50, tokens=6)
    gateway = start_gateway([engine.url])
    gateway.wait_up()
    _, body, _ = ask(gateway)
    assert body.count(COMMENT) > 5 and body.startswith(COMMENT)
    events: list[Any] = events_of(body.replace(COMMENT, b""))
    assert events[-1] == "[DONE]" and outcome_count(gateway, "ok") == 1
    # The first token came after 300 ms; the first comment after 20.
    assert gateway.metric("gateway_time_to_first_token_seconds_sum") > 0.25
    wait_until(lambda: bool(gateway.stdout().strip()), 5, "the access log written")
    line = json.loads(gateway.stdout().splitlines()[-1])
    assert line["ttft_ms"] > 250 and line["exact"]


JSON_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
NO_ANSWERS = {
    "nothing": whole(b"200", b""),
    "nothing, in chunks": JSON_HEAD + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "blanks": whole(b"200", b" \n"),
    "a page": whole(b"200", b"<html>log in</html>", b"text/html; charset=utf-8"),
    "a compressed answer": whole(b"200", ANSWER, b"application/json", b"content-encoding: gzip\r\n"),
    "a compressed refusal": whole(b"400", b"{}", b"application/json", b"content-encoding: br\r\n"),
    **{f"{status}": whole(b"%d" % status, ANSWER) for status in (201, 202, 206)},
    **{
        f"{status}": b"HTTP/1.1 %d X\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n" % status
        for status in (301, 302, 303, 307, 308)
    },
    "204": b"HTTP/1.1 204 X\r\n\r\n",
    "304": b"HTTP/1.1 304 X\r\n\r\n",
    "101": b"HTTP/1.1 101 X\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\nabc",
}
WRONG_KIND = {
    True: whole(b"200", ANSWER),
    False: STREAM_HEAD + chunked(TOKEN + b"data: [DONE]\n\n") + b"0\r\n\r\n",
}


@pytest.mark.parametrize("stream", [True, False])
def test_p146_what_is_no_answer_is_502(start_gateway: StartGateway, stream: bool) -> None:
    """Empty successes, pages, redirects, codings: none is passed on as if it were an answer."""
    now = b""

    def chatting(_: Scripted, connection: socket.socket, __: bytes) -> None:
        connection.sendall(now)

    engine = Scripted(chatting)
    gateway = start_gateway([engine.url], polling={"canary_interval_s": 0})
    gateway.wait_up()
    cases = NO_ANSWERS | {"of the other kind": WRONG_KIND[stream]}
    with gateway.client() as client:
        for number, (name, now) in enumerate(cases.items(), 1):  # noqa: B007 - `now` is what `chatting` says
            broken = client.post(URL, json=chat(stream))
            assert (broken.status_code, error_of(broken)["code"]) == (502, "engine_broken"), name
            assert len(engine.chats) == number, name
    assert outcome_count(gateway, "engine_error") == len(cases) and outcome_count(gateway, "ok") == 0
    assert "Traceback" not in gateway.stderr() and "Fatal" not in gateway.stderr()


@pytest.mark.parametrize("first", [b"100 Continue", b"102 Processing", b"103 Early Hints"])
def test_p146_what_comes_before_an_answer_is_not_taken_for_it(start_gateway: StartGateway, first: bytes) -> None:
    hint = b"HTTP/1.1 %b\r\ncontent-type: text/html\r\nretry-after: 9\r\n\r\n" % first
    engine = Scripted(say(hint + hint + whole(b"200", ANSWER)))
    gateway = start_gateway([engine.url])
    gateway.wait_up()
    with gateway.client() as client:
        answer = client.post(URL, json=chat())
    assert (answer.status_code, answer.content) == (200, ANSWER)
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("said", "told"), [(b"retry-after: 17\r\n", "17"), (b"", "1"), (b"retry-after: soon\r\n", "1")]
)
def test_p147_the_retry_after_of_an_engines_429_is_kept(start_gateway: StartGateway, said: bytes, told: str) -> None:
    engine = Scripted(say(whole(b"429", b'{"error":{"message":"slow"}}', b"application/json", said)))
    gateway = start_gateway([engine.url])
    gateway.wait_up()
    with gateway.client() as client:
        refused = client.post(URL, json=chat())
    assert (refused.status_code, refused.headers.get_list("retry-after")) == (429, [told])


def test_p148_no_answer_names_an_address_and_the_log_does(start_gateway: StartGateway) -> None:
    """502, 504, error events and 503 alike."""
    begun = STREAM_HEAD + chunked(TOKEN)

    def break_off(_: Scripted, connection: socket.socket, __: bytes) -> bool:
        connection.sendall(begun)
        return True

    def fall_silent(_: Scripted, connection: socket.socket, __: bytes) -> None:
        connection.sendall(begun)
        time.sleep(2)

    script: list[Callable[[Scripted, socket.socket, bytes], object]] = [
        lambda *_: True,
        lambda *_: True,  # on the new connection
        say(b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n"),
        say(b"garbage\r\n\r\n"),
        lambda *_: time.sleep(2),
        break_off,
        fall_silent,
        lambda engine, *_: engine.die(),
    ]
    engine = Scripted(lambda *these: script[min(len(engine.chats), len(script)) - 1](*these))
    limits = {"first_token_timeout_s": 0.5, "idle_timeout_s": 0.5}
    gateway = start_gateway([engine.url], limits=limits, polling={"canary_interval_s": 0})
    gateway.wait_up()
    told = []
    with gateway.client() as client:
        for _ in range(12):
            told.append(client.post(URL, json=chat(True)).text)
            time.sleep(0.3)
        told.append(client.get("/v1/models").text)
    assert "closed the connection" in told[0] and "no_engine_up" in told[-2]
    assert not [text for text in told if "127.0.0.1" in text or str(engine.port) in text]
    lines = [json.loads(line) for line in gateway.stdout().splitlines()]
    assert {line["address"] for line in lines if line["status"] == 502} == {f"127.0.0.1:{engine.port}"}
    assert "closed the connection" in lines[0]["error"]
    assert f"engine 'engine' at 127.0.0.1:{engine.port} is down: " in gateway.stderr()


def test_p148_a_host_name_is_not_told_either(start_gateway: StartGateway) -> None:
    gateway = start_gateway(["http://no-such-host.invalid:1"])
    with gateway.client() as client:
        refused = client.post(URL, json=chat())
    assert refused.status_code == 503 and "no-such-host" not in refused.text


def test_p149_an_engine_whose_queue_is_full_is_passed_by(
    start_engine: StartEngine, start_gateway: StartGateway
) -> None:
    full = Scripted(say(whole(b"503", b"{}", b"application/json", b"retry-after: 7\r\n")))
    gateway = start_gateway([full.url, start_engine().url])
    wait_all_up(gateway, 2)
    with gateway.client() as client:
        assert [client.post(URL, json=chat()).status_code for _ in range(8)] == [200] * 8
    assert len(full.chats) >= 1
    alone = start_gateway([full.url])
    alone.wait_up()
    with alone.client() as client:
        refused = client.post(URL, json=chat())
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "7")
    assert alone.is_up()


def test_p17_a_connection_whose_stream_broke_is_used_again(start_gateway: StartGateway) -> None:
    broken = STREAM_HEAD + chunked(TOKEN)

    def chatting(engine: Scripted, connection: socket.socket, _: bytes) -> bool:
        connection.sendall(broken if len(engine.chats) % 2 else broken + chunked(b"data: [DONE]\n\n") + b"0\r\n\r\n")
        return len(engine.chats) % 2 == 1

    gateway = start_gateway([Scripted(chatting).url], polling={"canary_interval_s": 0})
    gateway.wait_up()
    body = chat_bytes(True)
    with Raw(gateway.port) as raw:
        for number in range(20):
            raw.send(post_bytes(body, f"Content-Length: {len(body)}"))
            answer = raw.read_until(b"\r\n0\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200 ") and (b'"error"' in answer) == (number % 2 == 0)
