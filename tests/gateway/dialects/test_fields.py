"""Reads of fields."""

from __future__ import annotations

import pytest

from gateway.core.errors import BadRequest
from gateway.dialects import fields


def nested(depth: int) -> bytes:
    return b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1)


def test_p56_the_depth_that_an_engine_can_read_is_the_depth_that_passes() -> None:
    assert fields.read_object(nested(fields.MAX_DEPTH))
    for depth in (fields.MAX_DEPTH + 1, 900, 100_000):
        with pytest.raises(BadRequest, match="deep|recursion|not valid JSON"):
            fields.read_object(nested(depth))


def test_p56_many_brackets_side_by_side_are_no_depth() -> None:
    assert len(fields.read_object(b'{"a":[' + b"[]," * 5000 + b"[]]}")["a"]) == 5001


@pytest.mark.parametrize("body", [b'{"a": NaN}', b'{"a": Infinity}', b'{"a": "\\ud800"}', b'{"a": "\xff"}', b"", b"3"])
def test_p56_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        fields.read_object(body)


def test_a_field_of_the_wrong_type_is_named() -> None:
    for read in (fields.read_flag, fields.read_text, fields.read_list, fields.read_dict):
        with pytest.raises(BadRequest) as caught:
            read({"it": 3}, "it")
        assert caught.value.param == "it"


def test_a_field_that_is_not_there_is_empty() -> None:
    for content in ({}, {"it": None}):
        assert fields.read_flag(content, "it", default=True) is True
        assert fields.read_text(content, "it") == ""
        assert fields.read_list(content, "it") == []
        assert fields.read_dict(content, "it") == {}
