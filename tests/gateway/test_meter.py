"""Tokens counted from the bytes that pass."""

from __future__ import annotations

import json

import pytest

from gateway.call import Call, Usage
from gateway.meter import Meter

DELTA = b'data: {"id":"x","choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n'
USAGE = (
    b'data: {"id":"x","choices":[],"usage":{"prompt_tokens":7,"total_tokens":12,"completion_tokens":5,'
    b'"prompt_tokens_details":{"cached_tokens":4}}}\n\n'
)
DONE = b"data: [DONE]\n\n"


def meter(hides: bool = True, stream: bool = True, first_at: float = 1.0) -> Meter:
    made = Meter(Call("m", stream, b"/", b"", hides, prompt_tokens=9))
    made.first_at, made.last_at = first_at, 3.0
    return made


def test_p47_the_engines_own_count_is_taken_and_its_event_kept_from_who_did_not_ask() -> None:
    counted = meter()
    assert counted.stream(DELTA * 2 + USAGE + DONE) == DELTA * 2 + DONE
    assert counted.usage == Usage(7, 5, 4, exact=True)
    assert counted.seconds_per_token == pytest.approx(0.5)
    assert meter().stream(USAGE) == b""


def test_p47_who_asked_gets_it() -> None:
    counted = meter(hides=False)
    assert counted.stream(DELTA + USAGE + DONE) == DELTA + USAGE + DONE
    assert counted.usage.exact


def test_p47_without_it_events_are_counted_and_the_count_is_not_called_exact() -> None:
    counted = meter()
    counted.stream(DELTA)
    counted.stream(DELTA * 3)
    assert counted.usage == Usage(9, 4, 0, exact=False)


def test_p47_a_request_that_brought_nothing_costs_nothing() -> None:
    assert meter(first_at=0.0).usage == Usage()


def test_p47_generated_text_cannot_pass_for_a_count() -> None:
    text = json.dumps({"choices": [{"delta": {"content": '"usage":{"completion_tokens":99999}'}}]})
    counted = meter()
    event = b"data: " + text.encode() + b"\n\n"
    assert counted.stream(event) == event
    assert counted.usage.completion_tokens == 1


def test_p47_an_answer_that_is_no_stream() -> None:
    counted = meter(stream=False)
    body = {"choices": [{"text": "hi"}], "usage": {"prompt_tokens": 3, "total_tokens": 3, "completion_tokens": 0}}
    counted.whole(json.dumps(body, separators=(",", ":")).encode())
    assert counted.usage == Usage(3, 0, 0, exact=True)


def test_p47_anthropics_counts_are_in_its_events() -> None:
    start = b'event: message_start\ndata: {"message":{"usage":{"input_tokens":11,"output_tokens":0}}}\n\n'
    delta = b'event: content_block_delta\ndata: {"delta":{"text":"hi"}}\n\n'
    end = b'event: message_delta\ndata: {"delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":6}}\n\n'
    counted = meter()
    assert counted.stream(start + delta) == start + delta
    assert counted.usage == Usage(11, 2, 0, exact=False)
    counted.stream(end)
    assert counted.usage == Usage(11, 6, 0, exact=True)
