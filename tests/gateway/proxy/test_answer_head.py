"""Heads of engines' answers."""

from __future__ import annotations

import pytest

from gateway.core.errors import EngineBroken, EngineFull, NotServed
from gateway.http.client import Head
from gateway.proxy.answer_head import refused, retry_after


def head(status: int = 200, kind: bytes = b"application/json", length: int | None = 9, after: bytes = b"") -> Head:
    made = Head()
    made.status, made.length, made.retry_after = status, length, after
    made.be_of(kind)
    return made


@pytest.mark.parametrize(
    "kind", [b"application/json", b"Application/JSON; charset=utf-8", b"application/octet-stream", b""]
)
def test_p146_a_200_with_a_body_is_an_answer(kind: bytes) -> None:
    assert refused(head(kind=kind), "e", stream=False) is None
    assert refused(head(kind=kind, length=None), "e", stream=False) is None
    assert isinstance(refused(head(kind=kind), "e", stream=True), EngineBroken)


@pytest.mark.parametrize("kind", [b"text/event-stream", b"Text/Event-Stream;charset=UTF-8"])
def test_p146_a_stream_is_one_where_it_was_asked_for(kind: bytes) -> None:
    assert refused(head(kind=kind, length=None), "e", stream=True) is None
    assert isinstance(refused(head(kind=kind, length=None), "e", stream=False), EngineBroken)


def test_p146_other_statuses() -> None:
    for status in range(400, 500):
        assert refused(head(status), "e", stream=True) is None
    for status in (*range(201, 400), 502, 504, 599):
        assert isinstance(refused(head(status), "e", stream=False), EngineBroken)
    assert refused(head(500), "e", stream=False) is None  # its body has to be seen
    assert isinstance(refused(head(501), "e", stream=False), NotServed)
    full = refused(head(503, after=b"12"), "e", stream=False)
    assert isinstance(full, EngineFull) and full.retry_after == 12


@pytest.mark.parametrize("value", [b"", b"-1", b"1.5", b"9" * 40, b"Wed, 21 Oct 2026 07:28:00 GMT"])
def test_p147_what_is_no_number_of_seconds_is_the_shortest_time(value: bytes) -> None:
    assert retry_after(head(after=value)) == 1
