"""The request is what the documents say it is."""

from __future__ import annotations

import json

import pytest

from bench.gateway.request import KEY, MODEL, request_bytes


@pytest.mark.parametrize("stream", [True, False])
def test_it_is_a_kilobyte_of_valid_json_with_a_true_length(stream: bool) -> None:
    head, _, body = request_bytes(64, stream).partition(b"\r\n\r\n")
    asked = json.loads(body)
    assert len(body) == 1024
    assert f"Content-Length: {len(body)}".encode() in head
    assert f"Authorization: Bearer {KEY}".encode() in head
    assert (asked["model"], asked["stream"], asked["max_tokens"]) == (MODEL, stream, 64)
