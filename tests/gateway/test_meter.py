"""Tokens counted from the bytes that pass."""

from __future__ import annotations

import orjson

from gateway.call import Call, Usage
from gateway.meter import Meter

END = b'"type":"response.completed"}\n\n'


def meter(stream: bool = True, hides_usage: bool = False, usage_ends: tuple[bytes, ...] = ()) -> Meter:
    made = Meter(Call("m", stream, b"/", b"", hides_usage, prompt_tokens=9, usage_ends=usage_ends))
    made.first_at = 1.0
    return made


def completed(output: int, before: object = None) -> bytes:
    usage = {"input_tokens": 7, "input_tokens_details": {"cached_tokens": 5}, "output_tokens": output}
    event = {"response": {"tools": before, "usage": usage}, "sequence_number": 1, "type": "response.completed"}
    return b"event: response.completed\ndata: " + orjson.dumps(event) + b"\n\n"


def test_an_openai_stream_and_the_event_that_only_the_gateway_wanted() -> None:
    one = meter(hides_usage=True)
    token = b'data: {"choices":[{"delta":{"content":"\\"usage\\":{\\"completion_tokens\\":99}"}}]}\n\n'
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":3,"total_tokens":5,"completion_tokens":2}}\n\n'
    assert one.stream(token) == token
    assert one.stream(token + usage + b"data: [DONE]\n\n") == token + b"data: [DONE]\n\n"
    assert one.usage == Usage(3, 2, 0, exact=True)


def test_a_stream_that_was_left_is_counted_by_its_events() -> None:
    one = meter()
    one.stream(b"data: {}\n\n" * 4)
    assert one.usage == Usage(9, 4)


def test_anthropics_prompt_is_what_was_read_and_what_was_cached() -> None:
    one = meter()
    start = b'event: message_start\ndata: {"message":{"usage":{"input_tokens":20,"output_tokens":0}}}\n\n'
    one.stream(start + b"event: x\ndata: {}\n\n")
    assert one.usage == Usage(20, 2)
    one.stream(
        b'data: {"type":"message_delta","usage":{"input_tokens":4,"output_tokens":6,'
        b'"cache_creation_input_tokens":2,"cache_read_input_tokens":14}}\n\n'
    )
    assert one.usage == Usage(20, 6, 14, exact=True)


def test_the_responses_api_is_believed_at_its_end_only() -> None:
    one = meter(usage_ends=(END,))
    one.stream(b'event: response.created\ndata: {"tools":[{"usage":{"output_tokens":1}}]}\n\n')
    assert one.usage == Usage(9, 1)
    one.stream(completed(12, before=[{"usage": {"output_tokens": 1}}]))
    assert one.usage == Usage(7, 12, 5, exact=True)


def test_an_event_that_comes_in_pieces_is_counted_wherever_it_is_cut() -> None:
    event = completed(12, before="x" * 5000)
    for cut in (10, len(event) - 40, len(event) - 150, len(event) - 200):
        one = meter(usage_ends=(END,))
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
