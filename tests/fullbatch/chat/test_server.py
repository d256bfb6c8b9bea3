"""One answer over HTTP: what comes, how fast, what it says instead, and that leaving is noticed."""

from __future__ import annotations

import time
from typing import Any

import pytest

from fullbatch.chat.refusals import ContextFull, NoAnswer
from fullbatch.chat.server import ChatServer, Key, Piece
from fullbatch.core.errors import StateError, UsageError
from tests.fullbatch.chat.scripted import USAGE, Script, delta, end, text

KEY = Key("fb-secret", "the key of the test")
BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}


def server(script: Script) -> ChatServer:
    return ChatServer(script.url, KEY)


def test_models_and_aliases_are_asked_with_the_key(script: Script) -> None:
    asked = ChatServer(f"{script.url}/v1/", KEY)
    assert (asked.url, asked.models()) == (script.url, ["m", "other"])
    assert (asked.knows("alias"), asked.knows("a/b?c")) == (True, False)
    assert set(script.keys) == {"Bearer fb-secret"}
    assert ChatServer(script.url, Key("", "no key")).models() and script.keys[-1] is None


@pytest.mark.parametrize("models", [{}, {"data": "x"}, [], {"data": [5]}])
def test_what_is_no_list_of_models_is_said(script: Script, models: Any) -> None:
    script.models = models
    with pytest.raises(NoAnswer, match="is no list of models"):
        server(script).models()


def test_pieces_come_as_they_are_sent(script: Script) -> None:
    script.answers = [[b": keep alive\n\n", delta(role="assistant", content=""), *text("Hel", "lo ", "👩‍👩‍👧")]]
    script.pause_s = 0.1
    with server(script).ask(BODY) as stream:
        came = [(piece, time.monotonic()) for piece in stream]
    assert [piece for piece, _ in came] == [Piece("text", "Hel"), Piece("text", "lo "), Piece("text", "👩‍👩‍👧")]
    assert came[-1][1] - came[0][1] > 0.15, "not all at the end"
    assert (stream.text, stream.finish_reason, stream.usage, stream.model) == ("Hello 👩‍👩‍👧", "stop", USAGE, "m")
    assert stream.ttft_s is not None and 0.2 < stream.ttft_s < 5
    assert stream.tokens_per_s is not None and 4 / 5 < stream.tokens_per_s < 4 / 0.15
    assert script.asked[0]["stream"] is True and script.asked[0]["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_reasoning_is_told_from_the_answer(script: Script, name: str) -> None:
    script.answers = [[delta(**{name: "Hm."}), *text("Yes.")]]
    with server(script).ask(BODY) as stream:
        assert list(stream) == [Piece("reasoning", "Hm."), Piece("text", "Yes.")]
    assert (stream.reasoning, stream.text) == ("Hm.", "Yes.")


def test_a_whole_answer(script: Script) -> None:
    script.answers = [(200, '{"a": 1}', {}), (200, "[1]", {}), (200, "<html>", {}), (429, "{}", {"Retry-After": "3"})]
    asked = server(script)
    assert asked.post("/v1/completions", {"x": 1}) == {"a": 1} and script.asked == [{"x": 1}]
    for _ in range(2):
        with pytest.raises(NoAnswer, match="/v1/completions answers with what is no JSON"):
            asked.post("/v1/completions", {})
    with pytest.raises(NoAnswer, match="try again in 3 s"):
        asked.post("/v1/completions", {})


def test_who_leaves_is_noticed_at_the_other_end(script: Script) -> None:
    script.answers, script.pause_s = [text(*["word "] * 500)], 0.01
    with server(script).ask(BODY) as stream:
        next(iter(stream))
    assert script.left.wait(10)


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        ((429, '{"error": {"message": "full"}}', {"Retry-After": "3"}), NoAnswer, "full; try again in 3 s"),
        ((401, "{}", {}), UsageError, "the key of the test is none of this server's"),
        ((400, '{"error": {"message": "This model\'s maximum context length is 9"}}', {}), ContextFull, "length is 9"),
        ((503, '{"error": {"message": "down"}}', {}), NoAnswer, "not ready: down"),
    ],
)
def test_a_refusal_is_an_error(script: Script, answer: Any, kind: type[Exception], said: str) -> None:
    script.answers = [answer]
    with pytest.raises(kind, match=said):
        server(script).ask(BODY)


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([delta(content="half"), {"error": {"message": "the engine died"}}], "broke off: the engine died"),
        ([delta(content="half"), b"data: {nonsense\n\n"], "broke off: "),
        ([delta(content="half")], "ended it without its end"),
        ([delta(content="half"), *end()], "ended it without its end"),
    ],
)
def test_what_breaks_off_is_an_error_and_what_came_is_kept(script: Script, events: list[Any], said: str) -> None:
    script.answers, script.done = [events], False
    with server(script).ask(BODY) as stream, pytest.raises(NoAnswer, match=said):
        list(stream)
    assert stream.text == "half"


def test_nobody_there() -> None:
    with pytest.raises(StateError, match="nothing answers at http://127.0.0.1:1: Connection refused"):
        ChatServer("http://127.0.0.1:1", KEY).models()


@pytest.mark.parametrize("url", ["ftp://h", "h:8080", "http://", "http://h:port", "http://u:p@h", "http://h?x=1"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(UsageError, match="write http://HOST:PORT") as caught:
        ChatServer(url, KEY)
    assert "u:p" not in str(caught.value)
