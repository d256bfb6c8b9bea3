"""What a client hears while its model is loaded, on a clock of the test's own."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from gateway.core.call import Call
from gateway.core.errors import ModelFailed
from gateway.dialects.anthropic import Anthropic
from gateway.dialects.base import Dialect
from gateway.dialects.ollama import OllamaChat
from gateway.dialects.ollama_answer import Answer, chat_shape
from gateway.dialects.openai import OpenAI
from gateway.http.messages import JSON, Request
from gateway.http.reply import Reply
from gateway.proxy.loading_notice import LoadingNotice
from gateway.turns.desk import Expectation


class Client(asyncio.Transport):
    """Keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.got = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.got += bytes(data)

    def is_closing(self) -> bool:
        return False


class Waiting:
    """A request that waits since 0, and its notice."""

    def __init__(self, dialect: Dialect, stream: bool = True, whole: bool = False, ollama: bool = False) -> None:
        self.client = Client()
        self.done = False
        self.away = True
        request = Request("req-1", 0.0)
        translation = Answer("big", chat_shape) if ollama else None
        request.call = Call("big", stream, b"/v1/chat/completions", b"{}", translation=translation)
        request.position = 3
        self.reply = Reply(request, self.client, self._ended, dialect)
        expected = Expectation("big", whole, lambda: self.away, lambda: 40.2)
        self.notice = LoadingNotice(self.reply, dialect, expected, 0.0)

    def _ended(self, reply: Reply) -> None:
        assert reply is self.reply
        self.done = True

    def at(self, *moments: float) -> bytes:
        """What has been written by then, since the last time."""
        before = len(self.client.got)
        for now in moments:
            self.notice.check(now)
        return self.client.got[before:]


def unchunked(data: bytes) -> bytes:
    body, rest = b"", data
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        body, rest = body + rest[:length], rest[length + 2 :]
    return body


def test_p314_a_stream_is_silent_at_first_then_gets_comments() -> None:
    waiting = Waiting(OpenAI(dict))
    assert waiting.at(0.1, 5.0, 14.9) == b""
    head, _, body = waiting.at(15.0).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n")
    for line in (b"x-model-state: loading", b"x-queue-position: 3", b"x-queue-wait: 15.000"):
        assert line in head
    assert unchunked(body) == b": waiting: big is being loaded, about 40 s\n\n"
    assert waiting.at(20.0, 24.9) == b""
    assert unchunked(waiting.at(25.0)) == b": waiting: big is being loaded, about 40 s\n\n"
    assert not waiting.reply.started  # nothing of the answer has been said: another engine may still be asked
    before = len(waiting.client.got)
    waiting.reply.start(200, b"text/event-stream", None, b"data: {}\n\n")
    waiting.reply.finish()
    assert unchunked(waiting.client.got[before:]) == b"data: {}\n\n" and waiting.done
    assert waiting.at(60.0) == b""


@pytest.mark.parametrize("dialect", [OpenAI(dict), Anthropic(dict)], ids=["openai", "anthropic"])
def test_p314_a_failure_after_that_is_an_error_event(dialect: Dialect) -> None:
    error = ModelFailed("no memory", retry_after=30)
    early = Waiting(dialect)
    early.reply.refuse(error)
    assert early.client.got.startswith(b"HTTP/1.1 503 ") and b"retry-after: 30" in early.client.got
    late = Waiting(dialect)
    late.at(15.0)
    before = len(late.client.got)
    late.reply.refuse(error)
    assert unchunked(late.client.got[before:]) == dialect.error_event(error)
    assert late.done and late.reply.keep_alive  # the framing is whole, so the connection stays


def test_p314_an_engines_refusal_after_that_is_one_too() -> None:
    late = Waiting(OpenAI(dict))
    late.at(15.0)
    before = len(late.client.got)
    late.reply.send(400, JSON, b'{"error": {}}')
    assert unchunked(late.client.got[before:]) == b'data: {"error": {}}\n\n'


def test_p314_ollamas_clients_get_spaces() -> None:
    waiting = Waiting(OllamaChat(dict), ollama=True)
    head, _, body = waiting.at(15.0).partition(b"\r\n\r\n")
    assert b"content-type: application/x-ndjson" in head
    assert unchunked(body) == b" "
    assert unchunked(waiting.at(25.0)) == b" "
    before = len(waiting.client.got)
    waiting.reply.refuse(ModelFailed("no memory", retry_after=30))
    said = unchunked(waiting.client.got[before:])
    assert orjson.loads(said) == {"error": "no memory"} and said.endswith(b"\n")


def test_p314_a_whole_answer_is_waited_for_in_silence_unless_it_is_asked_for() -> None:
    assert Waiting(OpenAI(dict), stream=False).at(15.0, 100.0) == b""
    waiting = Waiting(OpenAI(dict), stream=False, whole=True)
    head, _, body = waiting.at(15.0).partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head and unchunked(body) == b" "
    before = len(waiting.client.got)
    waiting.reply.send(200, JSON, b'{"a": 1}')
    assert unchunked(waiting.client.got[before:]) == b'{"a": 1}'
    failed = Waiting(OpenAI(dict), stream=False, whole=True)
    failed.at(15.0)
    before = len(failed.client.got)
    failed.reply.refuse(ModelFailed("no memory"))
    assert orjson.loads(unchunked(failed.client.got[before:]))["error"]["code"] == "model_failed"


def test_p314_whoever_only_waits_for_a_seat_hears_nothing() -> None:
    waiting = Waiting(OpenAI(dict))
    waiting.away = False
    assert waiting.at(15.0, 60.0) == b""
    waiting.away = True  # its model is turned away while it waits
    assert b": waiting: big" in waiting.at(61.0)
