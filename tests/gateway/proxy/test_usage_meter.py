"""Tokens counted from the bytes that pass."""

from __future__ import annotations

import json

import orjson
import pytest

from gateway.core.call import Call, Usage
from gateway.proxy.usage_meter import UsageMeter, brings

DELTA = b'data: {"id":"x","choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n'
USAGE = (
    b'data: {"id":"x","choices":[],"usage":{"prompt_tokens":7,"total_tokens":12,"completion_tokens":5,'
    b'"prompt_tokens_details":{"cached_tokens":4}}}\n\n'
)
DONE = b"data: [DONE]\n\n"


END = b'"type":"response.completed"}\n\n'


def meter(
    hides: bool = True, stream: bool = True, first_at: float = 1.0, usage_ends: tuple[bytes, ...] = ()
) -> UsageMeter:
    made = UsageMeter(Call("m", stream, b"/", b"", hides, prompt_tokens=9, usage_ends=usage_ends))
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


def completed(output: int, before: object = None) -> bytes:
    usage = {"input_tokens": 7, "input_tokens_details": {"cached_tokens": 5}, "output_tokens": output}
    event = {"response": {"tools": before, "usage": usage}, "sequence_number": 1, "type": "response.completed"}
    return b"event: response.completed\ndata: " + orjson.dumps(event) + b"\n\n"


PING = b'event: ping\ndata: {"type":"ping"}\n\n'
COMMENT = b": keep-alive\n\n"


@pytest.mark.parametrize("nothing", [COMMENT, b":\n\n", b"\n\n", b": a\n: b\n\n", b"retry: 1000\n\n", PING])
def test_p143_comments_and_pings_are_not_counted(nothing: bytes) -> None:
    counted = meter()
    assert counted.stream(nothing) == nothing
    assert counted.events == 0 and counted.brought is False
    assert counted.stream(nothing + DELTA + nothing + DELTA + nothing).count(DELTA) == 2
    assert counted.events == 2 and brings(nothing * 3 + DELTA) == 1
    commented = b": note\n" + DELTA
    assert counted.stream(commented) == commented and counted.events == 3
    assert counted.stream(nothing + USAGE + DONE) == nothing + DONE
    assert counted.usage == Usage(7, 5, 4, exact=True)


@pytest.mark.parametrize("blanks", [(",", ":"), (", ", ": "), (" ,\n", " :\t")])
def test_p47_the_engines_count_is_found_however_its_json_is_written(blanks: tuple[str, str]) -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}}
    body = json.dumps({"choices": [], "usage": usage}, separators=blanks).encode()
    whole = meter(stream=False)
    whole.whole(body)
    assert whole.usage == Usage(7, 5, 4, exact=True)
    stream = meter()
    assert stream.stream(DELTA + b"data: " + body + b"\n\n" + DONE) == DELTA + DONE
    assert stream.usage == Usage(7, 5, 4, exact=True)


def test_an_openai_stream_and_the_event_that_only_the_gateway_wanted() -> None:
    one = meter()
    token = b'data: {"choices":[{"delta":{"content":"\\"usage\\":{\\"completion_tokens\\":99}"}}]}\n\n'
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":3,"total_tokens":5,"completion_tokens":2}}\n\n'
    assert one.stream(token) == token
    assert one.stream(token + usage + b"data: [DONE]\n\n") == token + b"data: [DONE]\n\n"
    assert one.usage == Usage(3, 2, 0, exact=True)


def test_a_stream_that_was_left_is_counted_by_its_events() -> None:
    one = meter(False)
    one.stream(b"data: {}\n\n" * 4)
    assert one.usage == Usage(9, 4)


def test_anthropics_prompt_is_what_was_read_and_what_was_cached() -> None:
    one = meter(False)
    start = b'event: message_start\ndata: {"message":{"usage":{"input_tokens":20,"output_tokens":0}}}\n\n'
    one.stream(start + b"event: x\ndata: {}\n\n")
    assert one.usage == Usage(20, 2)
    one.stream(
        b'data: {"type":"message_delta","usage":{"input_tokens":4,"output_tokens":6,'
        b'"cache_creation_input_tokens":2,"cache_read_input_tokens":14}}\n\n'
    )
    assert one.usage == Usage(20, 6, 14, exact=True)


def test_the_responses_api_is_believed_at_its_end_only() -> None:
    one = meter(False, usage_ends=(END,))
    one.stream(b'event: response.created\ndata: {"tools":[{"usage":{"output_tokens":1}}]}\n\n')
    assert one.usage == Usage(9, 1)
    one.stream(completed(12, before=[{"usage": {"output_tokens": 1}}]))
    assert one.usage == Usage(7, 12, 5, exact=True)


def test_an_event_that_comes_in_pieces_is_counted_wherever_it_is_cut() -> None:
    event = completed(12, before="x" * 5000)
    for cut in (10, len(event) - 40, len(event) - 150, len(event) - 200):
        one = meter(False, usage_ends=(END,))
        one.stream(event[:cut])
        one.stream(event[cut:])
        assert one.usage == Usage(7, 12, 5, exact=True)


def test_a_whole_answer_is_counted_wherever_it_is_cut() -> None:
    body = b'{"choices":["' + b"x" * 5000 + b'"],"usage":{"prompt_tokens":3,"completion_tokens":2,"x":{}},"y":1}'
    for cut in (100, len(body) - 70, len(body) - 50, len(body) - 3):
        one = meter(stream=False)
        one.whole(body[:cut])
        one.whole(body[cut:])
        assert one.usage == Usage(3, 2, 0, exact=True)
