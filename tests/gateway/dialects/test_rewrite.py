"""What the gateway puts into a body."""

from __future__ import annotations

import json

import orjson
import pytest

from gateway.dialects.rewrite import with_members


@pytest.mark.parametrize("body", [b'{"a":1}', b' { "a" : {} } \n', b'{"a":"}"}', b'{"b":1,"a":2}'])
def test_members_come_last_and_win(body: bytes) -> None:
    made = with_members(body, {"b": "}", "a": 3})
    assert json.loads(made) == orjson.loads(made) == orjson.loads(body) | {"b": "}", "a": 3}
    assert made.startswith(body[: body.rindex(b"}")])
