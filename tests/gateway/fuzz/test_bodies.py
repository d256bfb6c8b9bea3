"""Bodies that are wrong in every way: a 4xx in the API's own shape, never a 5xx, never a place that is kept."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gateway.fuzz.shapes import GOOD, assert_is_answer, exhausted, spoiled
from tests.gateway.harness import Gateway


@pytest.fixture(scope="module")
def http(hostile: Gateway) -> Iterator[httpx.Client]:
    with hostile.client() as client:
        yield client


def post(http: httpx.Client, path: str, body: bytes) -> httpx.Response:
    answer = http.post(path, content=body)
    assert_is_answer(path, answer.status_code, answer.content)
    return answer


@pytest.mark.parametrize("path", sorted(GOOD))
def test_p64_every_kind_in_every_place(http: httpx.Client, path: str) -> None:
    for body in exhausted(path):
        post(http, path, body)


@settings(max_examples=settings().max_examples * 5)
@given(request=spoiled())
def test_p64_members_of_every_kind_in_every_place(http: httpx.Client, request: tuple[str, bytes]) -> None:
    post(http, *request)


@given(path=st.sampled_from(sorted(GOOD)), body=st.binary(max_size=200))
def test_p64_bytes_that_are_no_json(http: httpx.Client, path: str, body: bytes) -> None:
    assert post(http, path, body).status_code == 400


DEEP = 45_000
BAD = {
    "arrays in arrays": b"[" * DEEP + b"]" * DEEP,
    "objects in objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "an open end": b'{"model":"tiny","messages":' + b"[" * DEEP,
    "deep in its place": b'{"model":"tiny","messages":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "as deep as orjson goes": b'{"model":"tiny","messages":' + b"[" * 1000 + b"]" * 1000 + b"}",
    "not a number": b'{"model":"tiny","temperature":NaN}',
    "infinite": b'{"model":"tiny","temperature":-Infinity}',
    "too large a number": b'{"model":"tiny","temperature":1e999}',
    "no UTF-8": b'{"model":"ti\xffny"}',
    "UTF-16": '{"model":"tiny"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"model":"tiny"}',
    "half a pair": b'{"model":"tiny","messages":[{"role":"user","content":"\\ud800"}]}',
    "a NUL": b'{"model":"tiny"\0}',
    "two objects": b'{"model":"tiny"}{"model":"tiny"}',
    "model twice, the last is another": b'{"model":"tiny","model":"other","messages":[]}',
    "a comma too many": b'{"model":"tiny",}',
    "a comment": b'{"model":"tiny"/* */}',
    "single quotes": b"{'model':'tiny'}",
    "text": b'"tiny"',
    "null": b"null",
    "nothing": b"",
    "spaces": b" " * 10_000,
    "the model an object": b'{"model":{"tiny":1}}',
    "the model a long text": b'{"model":"' + b"x" * 100_000 + b'"}',
}


@pytest.mark.parametrize("path", sorted(GOOD))
def test_p64_known_bad_bodies(http: httpx.Client, path: str) -> None:
    for name, body in BAD.items():
        answer = post(http, path, body)
        assert answer.status_code in (400, 404), name
        assert len(answer.content) < 2000, name


@pytest.mark.parametrize("path", sorted(GOOD))
def test_p64_a_body_over_the_limit(http: httpx.Client, path: str) -> None:
    assert post(http, path, b"x" * 300_001).status_code == 413
