"""Strict success, and a class for every failure."""

from __future__ import annotations

import pytest

from loadtest.client.record import Record, RequestOutcome, outcome_of_answer, outcome_of_status
from loadtest.client.sse import StreamedAnswer
from tests.loadtest.answers import DONE, event, usage


def outcome(*events: bytes) -> RequestOutcome:
    answer = StreamedAnswer()
    answer.take(1, b"".join(events))
    return outcome_of_answer(answer)[0]


def test_a_whole_answer_is_a_success() -> None:
    assert outcome(event("a"), event("b", "length"), usage(3, 2), DONE) is RequestOutcome.OK


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([event("a"), event("b", "length"), usage(3, 2)], RequestOutcome.CUT),
        ([event("a"), DONE], RequestOutcome.CUT),
        ([event("a", "abort"), DONE], RequestOutcome.IN_STREAM),
        ([event("a"), b'data: {"error": {"message": "gone"}}\n\n', event("b", "stop"), DONE], RequestOutcome.IN_STREAM),
        ([event("", "stop"), usage(3, 0), DONE], RequestOutcome.EMPTY),
        ([event("", "stop"), DONE], RequestOutcome.EMPTY),
        ([event("a").replace(b'"a"', b'"\xff"'), event("b", "stop"), DONE], RequestOutcome.NOT_UTF8),
        ([event("a"), b"data: {\n\n", event("b", "stop"), DONE], RequestOutcome.MALFORMED),
        ([], RequestOutcome.CUT),
    ],
)
def test_anything_less_has_a_class(events: list[bytes], expected: RequestOutcome) -> None:
    assert outcome(*events) is expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [(400, "4xx"), (401, "401"), (404, "404"), (413, "4xx"), (429, "429"), (500, "5xx"), (503, "503"), (504, "5xx")],
)
def test_refusals_are_told_apart_by_status(status: int, expected: str) -> None:
    assert outcome_of_status(status) == expected


def test_tokens_come_from_usage_and_only_else_from_chunks() -> None:
    answer = StreamedAnswer()
    answer.take(1, event("two tokens in one chunk", "stop") + usage(3, 5) + DONE)
    assert outcome_of_answer(answer)[0] is RequestOutcome.OK
    assert answer.usage is not None and answer.usage.output == 5


def test_the_clients_lateness_is_from_the_plan_to_its_turn_and_not_the_servers_connection() -> None:
    record = Record(1, 0, 0, plan=100, send=900)
    assert record.lateness == 800
    record.begun = 130
    assert record.lateness == 30
