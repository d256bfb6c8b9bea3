"""Makes text of others (servers, reports, files) safe for a terminal, a spreadsheet and a log. Pure."""

from __future__ import annotations

import re

# Control characters, which move the cursor, colour, or rename a terminal's window; marks that turn the direction of
# what follows; halves of a character. Line ends and tabs stay.
_UNFIT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# What a spreadsheet takes for the beginning of a formula, also behind blanks and in its full-width form.
_FORMULA = re.compile(r"\s*[=+\-@|%\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")


def shown(text: str) -> str:
    """The text with every unfit character as its escape, such as \\x1b: seen, and without effect."""
    return _UNFIT.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def one_line(text: str, most: int = 200) -> str:
    """The beginning of a text on one line, fit to be shown."""
    return shown(" ".join(text.split())[:most])


def cell(value: object) -> object:
    """Numbers as they are; a text that a spreadsheet would take for a formula gets a mark before it."""
    if isinstance(value, list):
        return " ".join(map(str, value))
    if not isinstance(value, str):
        return value
    return f"'{shown(value)}" if _FORMULA.match(value) else shown(value)
