"""SSE framing and the meaning of events."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loadtest.client.sse import Framer, StreamedAnswer, data_of, is_plain_text
from tests.loadtest.answers import DONE, event, usage

STREAM = (
    event("")
    + event("Grüße \u2028 und \x85 zwei")
    + event("日本語", None)
    + event("end", "length")
    + usage(7, 3)
    + DONE
)


def whole(data: bytes) -> list[bytes | None]:
    return [data_of(one) for one in Framer().feed(data)]


def test_line_separators_inside_json_do_not_cut_an_event() -> None:
    assert len(whole(event("a\u2028b\u2029c\x85d"))) == 1


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_any_cut_of_the_bytes_gives_the_same_events(cuts: list[int]) -> None:
    """Also cuts inside a UTF-8 character, inside a line end, and several events at once."""
    framer, found = Framer(), []
    borders = sorted({0, len(STREAM), *cuts})
    for start, end in zip(borders, borders[1:], strict=False):
        found += [data_of(one) for one in framer.feed(STREAM[start:end])]
    assert found == whole(STREAM)


@given(st.lists(st.integers(0, 60), max_size=8))
def test_carriage_returns_are_line_ends_wherever_the_bytes_are_cut(cuts: list[int]) -> None:
    data = b"data: one\r\n\r\ndata: two\r\n\r\n: ping\r\n\r\ndata: three\r\rdata: 4\n\n"
    framer, found = Framer(), []
    borders = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for start, end in zip(borders, borders[1:], strict=False):
        found += [data_of(one) for one in framer.feed(data[start:end])]
    assert [one for one in found if one is not None] == [b"one", b"two", b"three", b"4"]


def test_an_event_waits_for_its_blank_line() -> None:
    framer = Framer()
    assert framer.feed(b"data: [DO") == []
    assert framer.feed(b"NE]\n") == []
    assert framer.feed(b"\n") == [b"data: [DONE]"]


def test_comments_and_other_fields_carry_no_data() -> None:
    assert whole(b": keep-alive\n\nevent: ping\n\n") == [None, None]


def test_data_lines_are_joined_with_and_without_the_blank() -> None:
    assert whole(b"data:one\ndata: two\n\n") == [b"one\ntwo"]


def test_only_proven_text_is_taken_for_text_without_parsing() -> None:
    def data(**changes: object) -> bytes:
        return event(**changes)[6:-2]  # type: ignore[arg-type]

    assert is_plain_text(data(content="x"))
    assert is_plain_text(data(content='he said "error" and "usage":{'))
    assert not is_plain_text(data(content=""))
    assert not is_plain_text(data(content="x", finish="stop"))
    assert not is_plain_text(data(content="x", error={"message": "out of memory"}))
    assert not is_plain_text(data(content="x", usage={"completion_tokens": 3}))
    assert not is_plain_text(b'{"choices": [{"delta": {"content": "x"}, "finish_reason": null}]}')


def test_the_role_chunk_and_empty_chunks_are_not_the_first_token() -> None:
    answer = StreamedAnswer()
    answer.take(100, event("") + b": comment\n\n")
    answer.take(200, event("Hello"))
    assert (answer.first, answer.events) == (200, 1)


def test_reasoning_and_tool_calls_are_tokens_too() -> None:
    for delta in ({"reasoning_content": "hm"}, {"reasoning": "hm"}, {"tool_calls": [{"index": 0}]}):
        answer = StreamedAnswer()
        answer.take(5, event(choices=[{"delta": delta, "finish_reason": None}]))
        assert answer.first == 5


def test_events_of_one_read_share_its_time_and_count_one_read() -> None:
    answer = StreamedAnswer()
    answer.take(10, event("") + event("a") + event("b"))
    answer.take(40, event("c") + event("d") + event("e"))
    answer.take(50, event("f", "length") + usage(7, 6) + DONE)
    assert (answer.first, answer.last, answer.first_events) == (10, 50, 2)
    assert answer.gaps == [(30, 3), (10, 1)]
    assert (answer.events, answer.reads, answer.finish, answer.done) == (6, 3, "length", True)
    assert answer.usage is not None and (answer.usage.prompt, answer.usage.output) == (7, 6)


def test_an_error_event_is_kept_with_its_message() -> None:
    answer = StreamedAnswer()
    answer.take(1, event("a") + b'data: {"error": {"message": "EngineCore died", "code": 500}}\n\n' + DONE)
    assert answer.error == "EngineCore died"


def test_what_is_not_json_is_kept_as_malformed() -> None:
    for garbage in (b"data: {not json}\n\n", b"data: [1, 2]\n\n"):
        answer = StreamedAnswer()
        answer.take(1, garbage)
        assert answer.malformed is not None


def test_nothing_counts_after_done() -> None:
    answer = StreamedAnswer()
    answer.take(1, event("a", "stop") + DONE + event("b"))
    assert answer.events == 1
