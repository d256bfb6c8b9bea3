"""Answers of our own gateway and engine, as the command line looks at them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fullbatch.core import http
from tests.one_answer import answering


def test_get() -> None:
    with answering(b'HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n{"a": 1}') as (url, _):
        answer = http.get(f"{url}/health")
    assert answer.status == 200
    assert answer.json() == {"a": 1}


def test_an_error_status_is_an_answer() -> None:
    with answering(b"HTTP/1.1 503 No\r\ncontent-length: 4\r\n\r\nbusy") as (url, _):
        assert http.get(url) == http.HttpResponse(503, "busy")


def test_post_carries_key_and_body() -> None:
    with answering(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") as (url, seen):
        http.post(f"{url}/v1/completions", {"model": "tiny"}, "fb-1", 5)
    assert b"Authorization: Bearer fb-1" in seen[0]
    assert b'{"model": "tiny"}' in seen[0]


@pytest.mark.parametrize("garbage", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nshort"])
def test_whatever_a_stranger_says_nothing_is_raised(garbage: bytes) -> None:
    with answering(garbage) as (url, _):
        answer = http.get(url)
    assert answer.status == 0
    assert answer.text


def test_nothing_listens(free_port: Callable[[], int]) -> None:
    answer = http.get(f"http://127.0.0.1:{free_port()}/", timeout=2)
    assert answer.status == 0
    assert "refused" in answer.text


@pytest.mark.parametrize("text", ["", "no json", "[1]", "null", "{"])
def test_a_body_that_is_no_object_is_empty(text: str) -> None:
    assert http.HttpResponse(200, text).json() == {}
