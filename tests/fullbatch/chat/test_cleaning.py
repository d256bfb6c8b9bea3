"""Nothing that a model writes commands the terminal, wherever it is cut."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullbatch.chat.cleaning import Cleaner, one_line

DANGEROUS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]")


def cleaned(*pieces: str) -> str:
    cleaner = Cleaner()
    return "".join(map(cleaner.feed, pieces))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("a\x1b]0;title\x07b", "ab"),
        ("a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\b", "alinkb"),
        ("a\x1bPq#0sixel\x1b\\b", "ab"),
        ("a\x9b2Jb", "ab"),
        ("a\x1b(Bb\x1bcc", "abc"),
        ("bell\x07 back\x08 line\r\nnext\ttab", "bell back line\nnext\ttab"),
        ("\x1b\x1b[31m[31mx", "[31mx"),
        ("\u202eevil\u2066", "evil"),
        ("half \ud83d", "half \ufffd"),
        ("👩‍👩‍👧 你好 naïve العربية", "👩‍👩‍👧 你好 naïve العربية"),
        ("a[0m and ^[[0m stay", "a[0m and ^[[0m stay"),
    ],
)
def test_what_is_left(text: str, shown: str) -> None:
    assert cleaned(text) == shown
    assert cleaned(*text) == shown, "cut after every character"


def test_what_is_begun_and_never_ended_does_not_swallow_the_answer() -> None:
    assert cleaned("before \x1b]0;", *["word "] * 100).startswith("before ]0;word word")
    assert cleaned("before \x1b]0;title\nnext line") == "before ]0;title\nnext line"
    assert cleaned("text at the end \x1b[3") == "text at the end "


@given(st.lists(st.text(alphabet=st.sampled_from("\x1b[]0;m\x07\\\x9b\x90aB\n\r\u202e\ud83d P(")), max_size=40))
def test_nothing_dangerous_comes_through(pieces: list[str]) -> None:
    assert not DANGEROUS.search(cleaned(*pieces))


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])), max_size=10))
def test_a_text_without_control_characters_stays_as_it_is(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert cleaned(*pieces) == re.sub("[\u202a-\u202e\u2066-\u2069]", "", text)


def test_one_line() -> None:
    assert one_line("two\nlines \x1b[31mred " + "x" * 500, 20) == "two lines red xxxxxx"
