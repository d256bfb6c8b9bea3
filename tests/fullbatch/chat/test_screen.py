"""How an answer looks, in a terminal with and without colours, and in a pipe."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fullbatch.chat.screen import Screen, figures
from fullbatch.chat.server import AnswerStream, Piece

PIECES = [Piece("reasoning", "Hm"), Piece("reasoning", "."), Piece("text", "\n Yes\x1b"), Piece("text", "[31m!")]


def shown(*pieces: Piece, terminal: bool, styled: bool) -> str:
    out = io.StringIO()
    screen = Screen(out, terminal=terminal, styled=styled)
    screen.begin()
    for piece in pieces:
        screen.piece(piece)
    screen.end()
    return out.getvalue()


@pytest.mark.parametrize(
    ("terminal", "styled", "text"),
    [
        (True, True, "\x1b[2mHm.\x1b[0m\n\nYes!\n"),
        (True, False, "(thinking) Hm.\n\nYes!\n"),
        (False, False, "\n Yes!\n"),
    ],
)
def test_an_answer_after_some_thinking(terminal: bool, styled: bool, text: str) -> None:
    assert shown(*PIECES, terminal=terminal, styled=styled) == text


def test_thinking_that_is_cut_leaves_no_colour_behind() -> None:
    assert shown(PIECES[0], terminal=True, styled=True) == "\x1b[2mHm\x1b[0m\n"
    assert shown(PIECES[0], terminal=True, styled=False) == "(thinking) Hm\n"


def test_a_line_end_is_not_doubled_and_nothing_is_nothing() -> None:
    assert shown(Piece("text", "Yes\n"), terminal=True, styled=True) == "Yes\n"
    assert shown(terminal=True, styled=True) == ""


def test_a_second_answer_begins_anew() -> None:
    out = io.StringIO()
    screen = Screen(out, terminal=True, styled=False)
    for _ in range(2):
        screen.begin()
        screen.piece(Piece("text", " a\x1b"))
        screen.end()
    assert out.getvalue() == "a\na\n"


@pytest.mark.parametrize(
    ("styled", "note", "error"), [(True, "\x1b[2mn\x1b[0m\n", "\x1b[31me\x1b[0m\n"), (False, "n\n", "e\n")]
)
def test_notes_and_errors(styled: bool, note: str, error: str) -> None:
    out = io.StringIO()
    screen = Screen(out, terminal=True, styled=styled)
    screen.note("n")
    screen.error("e")
    assert out.getvalue() == note + error


def answer(**values: Any) -> AnswerStream:
    usual = {"ttft_s": 0.2134, "tokens_per_s": 31.26, "finish_reason": "stop"}
    usage = {"usage": {"prompt_tokens": 30, "completion_tokens": 12}}
    return cast(AnswerStream, SimpleNamespace(**(usual | usage | values)))


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({}, "first token 213 ms · 31.3 tokens/s · 30 + 12 tokens"),
        ({"ttft_s": 2.5, "tokens_per_s": None, "usage": {}}, "first token 2.50 s"),
        ({"finish_reason": "length"}, "first token 213 ms · 31.3 tokens/s · 30 + 12 tokens · cut: no more tokens were "
         "allowed, or the context is full (/clear)"),
        ({"ttft_s": None, "tokens_per_s": None, "usage": {}}, "no text came"),
    ],
)  # fmt: skip
def test_the_figures(values: dict[str, Any], line: str) -> None:
    assert figures(answer(**values)) == line
