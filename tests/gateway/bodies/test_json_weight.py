"""What a body weighs, before anything of it has been parsed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bodies import json_weight
from gateway.config.setting_types import RequestLimits
from gateway.core.errors import BadRequest
from gateway.dialects.fields import read_object
from tests.gateway.harness import chat

LIMIT = RequestLimits().max_json_weight


def weight(body: bytes, size: int = 10**9) -> int:
    scale = json_weight.Scale()
    for start in range(0, len(body), size):
        scale.add(body[start : start + size])
    return scale.weight


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{}", 12),
        (b"[1,2,3]", 12 + 2),
        (b'{"a":"b"}', 12 + 6),
        (b'{"a":"[[[,{"}', 12 + 6),
        (b'{"a":"\\"[[["}', 12 + 6),
        (b'{"a":"\\\\","b":[]}', 12 + 9 + 12 + 1),
        (b'"never ended [[[', 1),
        (b"\\", 0),
        (b"", 0),
    ],
)
def test_p122_what_stands_inside_texts_weighs_nothing(body: bytes, expected: int) -> None:
    assert weight(body) == expected


pieces = st.recursive(
    st.text('ab\\"[{,', max_size=6) | st.integers(-99, 99),
    lambda each: st.lists(each) | st.dictionaries(st.text(max_size=3), each),
)


@given(value=pieces, size=st.integers(1, 7))
def test_p122_pieces_of_any_size_weigh_the_same(value: object, size: int) -> None:
    body = orjson.dumps(value)
    # A text that is cut in its middle is counted in halves, each rounded down.
    assert weight(body) - len(body) <= weight(body, size) <= weight(body)


# Made by the test that needs them: megabytes each.
HEAVY: dict[str, Callable[[], bytes]] = {
    "messages": lambda: b'{"messages":[' + b",".join([b'{"role":"user","content":""}'] * 330_000) + b"]}",
    "tools": lambda: b'{"tools":[' + b",".join([b'{"type":"function","function":{"name":"f"}}'] * 200_000) + b"]}",
    "lists": lambda: b'{"x":[' + b",".join([b"[]"] * 3_000_000) + b"]}",
    "objects": lambda: b'{"x":[' + b",".join([b"{}"] * 3_000_000) + b"]}",
    "texts": lambda: b'{"x":[' + b",".join([b'""'] * 3_000_000) + b"]}",
    "keys": lambda: b'{"x":{' + b",".join([b'"k%d":1' % n for n in range(700_000)]) + b"}}",
    "numbers": lambda: b'{"x":[' + b",".join([b"1"] * 5_000_000) + b"]}",
    "no JSON": lambda: b"[" * 9_000_000,
    "quotes": lambda: b'"' * 9_000_000,
}


@pytest.mark.parametrize("name", HEAVY)
async def test_p122_ten_megabytes_of_small_things_are_refused_a_slice_at_a_time(name: str) -> None:
    body = HEAVY[name]()
    began = time.thread_time()
    with pytest.raises(BadRequest, match="limits.requests.max_json_weight"):
        await json_weight.examine(body, LIMIT)
    assert time.thread_time() - began < 0.25


LIGHT: dict[str, Callable[[], bytes]] = {
    "text": lambda: b'{"x":"' + b"lorem, ipsum {[ " * 600_000 + b'"}',
    "escaped": lambda: b'{"x":"' + b'\\"\\\\\\n{}[],' * 700_000 + b'"}',
    "image": lambda: b'{"x":"' + b"A" * 9_000_000 + b'"}',
    "tokens": lambda: b'{"x":[' + b",".join([b"12345"] * 131_072) + b"]}",
    "conversation": lambda: orjson.dumps({"messages": [{"role": "user", "content": "x" * 900}] * 4096}),
}


@pytest.mark.parametrize("name", LIGHT)
async def test_p122_large_bodies_of_text_pass(name: str) -> None:
    body, other = LIGHT[name](), 0

    async def count() -> None:
        nonlocal other
        while True:
            await asyncio.sleep(0)
            other += 1

    task = asyncio.create_task(count())
    await json_weight.examine(body, LIMIT)
    task.cancel()
    assert other >= len(body) // (256 * 1024)  # others had their turn
    read_object(body)


def test_p122_what_is_light_enough_is_read_fast() -> None:
    heaviest = b'{"x":[' + b",".join([b"{}"] * (LIMIT // 13)) + b"]}"
    began = time.thread_time()
    read_object(heaviest)
    assert time.thread_time() - began < 0.1


def test_p122_a_heavy_body_is_400_on_every_api(client: httpx.Client) -> None:
    body = HEAVY["messages"]()
    for path in ("/v1/chat/completions", "/v1/messages", "/api/chat", "/api/show"):
        refused = client.post(path, content=body)
        assert refused.status_code == 400 and "max_json_weight" in refused.text
    assert client.post("/v1/chat/completions", json=chat()).status_code == 200


def test_p56_depth_is_found_without_writing_the_body_again() -> None:
    assert read_object(b'{"x":' * 253 + b"{}" + b"}" * 253)
    with pytest.raises(BadRequest, match="254 levels"):
        read_object(b'{"x":' * 254 + b"{}" + b"}" * 254)
