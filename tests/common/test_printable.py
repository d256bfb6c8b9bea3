"""Text of others: fit for a terminal, a spreadsheet and a log."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.printable import cell, one_line, shown

FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\r=1", "\n=1", "＝1", "|calc", "%0A=1", "\u00a0=1")


def is_fit(text: str) -> bool:
    return text == shown(text) and not set(text) & set("\x00\x07\x08\r\x1b\x7f\x9b\u202e\u2066\u2028")


def test_escapes_are_seen_and_do_nothing() -> None:
    assert shown("\x1b[31mred\x07\u202e\ud800\x85") == "\\x1b[31mred\\x07\\u202e\\ud800\\x85"
    assert shown("Grüße, 日本語 🎉\n\ttab") == "Grüße, 日本語 🎉\n\ttab"


@given(st.text())
def test_whatever_is_shown_can_be_written(text: str) -> None:
    assert is_fit(shown(text))
    assert shown(text).encode().decode() == shown(text)
    assert "\n" not in one_line(text)


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_a_text_in_a_spreadsheet(text: str) -> None:
    assert str(cell(text)).startswith("'")


def test_numbers_and_plain_texts_stay_as_they_are() -> None:
    assert [cell(value) for value in (-1, 2.5, None, True, "ok", "a-b", [429, 503])] == [
        -1, 2.5, None, True, "ok", "a-b", "429 503",
    ]  # fmt: skip
