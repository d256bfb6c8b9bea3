"""How many tokens a read brought, and the times between tokens that follow."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.analysis.metrics import itl_ms, summarise, tpot_ms
from loadtest.client.record import Record, RequestOutcome
from loadtest.client.sse import StreamedAnswer
from loadtest.client.token_counts import Counting, between, several_counted, tokens_of, told
from tests.loadtest.answers import DONE, MS, event, good, usage
from tests.loadtest.paced import paced
from tests.loadtest.programs import loadtest, quick, read_report

FOURS = [1, 4, 4, 4]  # as --stream-interval 4 has it: the first token alone, then four at a time


def counted(text: str, tokens: int, finish: str | None = None) -> bytes:
    """An event as vLLM writes it when asked for continuous usage."""
    said = {"prompt_tokens": 7, "total_tokens": 7 + tokens, "completion_tokens": tokens}
    return event(text, finish, usage=said)


def answered(*reads: tuple[int, bytes]) -> Record:
    """A good answer of reads at these milliseconds after its send."""
    answer = StreamedAnswer()
    for at, data in reads:
        answer.take(at * MS, data)
    return Record(1, 0, 0, 0, 0, end=answer.last or 0, status=200, outcome=RequestOutcome.OK, answer=answer)


def test_what_the_server_counts_is_shared_among_the_tokens_of_each_event() -> None:
    reads = [(100 + 80 * number, counted("a b ", tokens)) for number, tokens in enumerate(itertools.accumulate(FOURS))]
    record = answered((90, counted("", 0)), *reads, (350, usage(7, 13) + DONE))
    found = tokens_of(record.answer)
    assert (found.counting, found.first) == (Counting.COUNTED, 1)
    assert itl_ms(record) == [20.0] * 12
    assert tpot_ms(record) == 20.0
    assert several_counted(record.answer)


def test_a_token_without_text_counts_to_the_next_text_and_the_last_one_to_none() -> None:
    """An unfinished character, or text that a parser holds back; and the token that ends the answer."""
    record = answered(
        (100, counted("a", 1)), (120, counted("", 2)), (140, counted("b", 3)), (160, counted("", 4, "stop") + DONE)
    )
    assert tokens_of(record.answer).gaps == [(40 * MS, 2)]
    assert itl_ms(record) == [20.0, 20.0]


def test_two_events_of_one_token_and_two_of_one_read() -> None:
    record = answered((100, counted("a", 1)), (130, counted("b", 1)), (160, counted("c", 2) + counted("d", 4) + DONE))
    assert tokens_of(record.answer).gaps == [(30 * MS, 0), (30 * MS, 3)]
    assert itl_ms(record) == [20.0] * 3


@pytest.mark.parametrize(
    "counts",
    [[0, 0, 0, 0], [4, 3, 8, 12], [5, 9, 13, 17], [1, 1, 1, -1], [1, 2, 3, 10**12]],
    ids=["zeros", "falling", "more than the final usage", "negative", "absurd"],
)
def test_counts_that_cannot_be_are_not_believed(counts: list[int]) -> None:
    record = answered(*((100 + 80 * i, counted("a", n)) for i, n in enumerate(counts)), (500, usage(7, 12) + DONE))
    assert tokens_of(record.answer).counting is Counting.SHARED
    assert itl_ms(record) == pytest.approx([80 / 3] * 9)


def test_one_event_that_does_not_say_makes_the_events_share() -> None:
    record = answered((100, counted("a", 4)), (180, event("b")), (260, counted("c", 12)), (261, usage(7, 12) + DONE))
    assert tokens_of(record.answer).counting is Counting.SHARED
    assert itl_ms(record) == pytest.approx([20.0] * 8)


def test_an_event_is_a_token_where_usage_has_as_many_or_one_more() -> None:
    """One more: the token that ends the answer has no text."""
    for tokens in (3, 4, 5):
        record = good(0, 100, [(30, 1), (20, 2)], tokens=tokens)
        assert tokens_of(record.answer).counting is Counting.SINGLE
        assert itl_ms(record) == [30.0, 10.0, 10.0]


def test_without_usage_it_is_between_events() -> None:
    record = good(0, 100, [(30, 1), (20, 2)])
    record.answer.usage = None
    assert tokens_of(record.answer).counting is Counting.EVENTS
    assert itl_ms(record) == [30.0, 10.0, 10.0]


@given(
    st.lists(st.tuples(st.integers(1, 10**9), st.floats(0, 50)), max_size=30),
)
def test_no_time_and_no_token_is_lost(gaps: list[tuple[int, float]]) -> None:
    pairs = list(between(gaps))
    assert len(pairs) == len(gaps)
    whole, given_out = sum(tokens for _, tokens in gaps), sum(count for _, count in pairs)
    assert abs(whole - given_out) <= 0.5 + 1e-3
    assert all(count >= 0 and (value > 0) == (count > 0) for value, count in pairs)


@given(st.lists(st.tuples(st.integers(1, 10**9), st.integers(0, 50)), max_size=30))
def test_whole_tokens_keep_their_read_s_time(gaps: list[tuple[int, int]]) -> None:
    spent = sum(value * count for value, count in between(gaps))
    after_last = sum(gap for gap, _ in itertools.takewhile(lambda one: not one[1], reversed(gaps)))
    assert spent == pytest.approx(sum(gap for gap, _ in gaps) - after_last)


def test_the_sentence_says_how_the_tokens_are_known() -> None:
    def client(tokens_per_event: float | None, **counting: int) -> dict[str, Any]:
        return {"tokens_per_event": tokens_per_event, "counting": counting}

    assert told([{}, client(1.0, single=4)]) == ""
    assert (
        told([client(4.0, counted=4)]) == "ITL (an event held 4.0 tokens): the server counted the tokens of each event."
    )
    assert told([client(1.5, shared=1, single=3), client(4.0, shared=2)]).startswith(
        "ITL (an event held 1.5 to 4.0 tokens): an"
    )
    assert told([client(None, events=4)]).startswith("ITL: between events, which may hold several tokens")


Parts = Iterator[tuple[float, bytes]]


def fours(heeds: bool, strict: bool = False) -> Callable[[dict[str, Any]], Parts | int]:
    """Events of four tokens, one each 80 ms. `heeds`: counts them when asked; `strict`: refuses to be asked."""

    def script(body: dict[str, Any]) -> Parts | int:
        asked = bool(body["stream_options"].get("continuous_usage_stats"))
        return 400 if asked and strict else parts(body["max_tokens"], asked and heeds)

    def parts(tokens: int, tell: bool) -> Parts:
        yield 0.0, event("")
        for made in range(4, tokens + 1, 4) if tokens >= 4 else [tokens]:
            finish = "length" if made == tokens else None
            yield 0.08, counted("a b c d ", made, finish) if tell else event("a b c d ", finish)
        yield 0.0, usage(7, tokens) + DONE

    return script


@pytest.mark.parametrize(
    ("heeds", "strict", "option", "way"),
    [
        (True, False, "auto", "counted"),
        (False, False, "auto", "shared"),
        (False, True, "auto", "shared"),
        (True, False, "never", "shared"),
        (True, False, "always", "counted"),
    ],
)
def test_a_run_against_events_of_four_tokens(tmp_path: Path, heeds: bool, strict: bool, option: str, way: str) -> None:
    asked: list[dict[str, Any]] = []
    with paced(fours(heeds, strict), asked) as url:
        words = quick(url, tmp_path, users="1", requests_per_user=2, max_tokens=20, warmup=0, token_counts=option)
        done = loadtest(*words)
    assert (done.returncode, done.stderr) == (0, "")
    report = read_report(tmp_path)
    client = report["stages"][0]["client"]
    assert client["counting"] == {way: 2} and client["tokens_per_event"] == 4
    assert client["itl_ms"]["count"] in (32, 28, 24), "32, but for events that a busy box reads together"
    assert 19 <= client["itl_ms"]["p50"] <= 40, "80 ms are the time of four tokens; the box is busy"
    assert ("the server counted" if way == "counted" else "share its tokens evenly") in done.stdout
    assert (way == "counted") is ("continuous_usage_stats" in asked[-1]["stream_options"])
    assert report["sides"][0]["token_counts_asked"] is (way == "counted")
    page = (tmp_path / "report.html").read_text()
    assert "an event held 4.0 tokens" in page


def test_one_token_an_event_is_not_asked_for(tmp_path: Path) -> None:
    """Counts cost the server time and half as many bytes again: nobody's chat asks for them."""
    asked: list[dict[str, Any]] = []

    def ones(body: dict[str, Any]) -> Parts:
        tell = bool(body["stream_options"].get("continuous_usage_stats"))
        for made in range(1, body["max_tokens"] + 1):
            finish = "length" if made == body["max_tokens"] else None
            yield 0.002, counted("a", made, finish) if tell else event("a", finish)
        yield 0.0, usage(7, body["max_tokens"]) + DONE

    with paced(ones, asked) as url:
        done = loadtest(*quick(url, tmp_path, users="1", warmup=0))
    assert done.returncode == 0 and "ITL" in done.stdout and "ITL (" not in done.stdout
    assert [("continuous_usage_stats" in body["stream_options"]) for body in asked] == [False, True, False, False]


def test_summary_counts_answers_by_how_their_tokens_are_known() -> None:
    both = [good(0, 100, [(30, 1)]), good(0, 100, [(80, 1)] * 3, tokens=16)]
    client = summarise(both, 0)
    assert client.counting == {"shared": 1, "single": 1}
    assert client.tokens_per_event == pytest.approx(18 / 6)
