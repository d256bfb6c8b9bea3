"""A conversation grows by the model's own answers."""

from __future__ import annotations

import orjson

from loadtest.client.connection import server_at
from loadtest.client.conversation import OngoingConversation
from loadtest.client.sse import StreamedAnswer
from loadtest.workload.source import Place
from tests.loadtest.answers import DONE, asked, event

SERVER = server_at("http://127.0.0.1:1", "fb-key")


def talk(turns: int = 3) -> OngoingConversation:
    return OngoingConversation(asked(10, 20, "nonce", turns=turns), Place("1-1", 0), [SERVER])


def sent(request: bytes) -> tuple[str, list[dict[str, str]], int]:
    head, _, body = request.partition(b"\r\n\r\n")
    content = orjson.loads(body)
    return head.decode(), content["messages"], content["max_tokens"]


def answered(made: OngoingConversation, *texts: str) -> StreamedAnswer:
    answer = made.answer()
    answer.take(1, b"".join(event(text) for text in texts) + event("", "length") + DONE)
    return answer


def test_each_turn_holds_all_that_was_said_before() -> None:
    made = talk()
    assert made.goes_on(answered(made, "Hello, ", "wörld"))
    _, messages, _ = sent(made.request())
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert messages[1]["content"] == "Hello, wörld"
    assert messages[0]["content"] != messages[2]["content"]
    assert made.goes_on(answered(made, "again"))
    assert len(sent(made.request())[1]) == 5
    assert not made.goes_on(answered(made, "the end"))


def test_only_what_is_needed_later_is_kept() -> None:
    single = talk(turns=1)
    answer = answered(single, "long text")
    assert answer.text() == "" and answer.events == 1
    assert not single.goes_on(answer)


def test_every_turn_has_a_request_id_of_its_own_and_the_key() -> None:
    made = talk()
    first = sent(made.request())[0]
    made.goes_on(answered(made, "a"))
    second = sent(made.request())[0]
    assert "X-Request-Id: nonce-1-1-0-0-1" in first and "X-Request-Id: nonce-1-1-0-0-2" in second
    assert "Authorization: Bearer fb-key" in first


def test_a_warm_up_asks_for_less() -> None:
    assert (sent(talk().request())[2], sent(talk().request(max_tokens=8))[2]) == (20, 8)
