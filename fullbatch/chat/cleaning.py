"""What a model writes, made fit for a terminal: without what moves the cursor, colours, or renames the window. Pure."""

from __future__ import annotations

import re

_STRINGS = "(?:\x1b[\\]PX^_]|[\x90\x98\x9d-\x9f])"  # they go on until their end is said: titles, links, sixels
_PARAMETERS = "(?:\x1b\\[|\x9b)[0-?]*[ -/]*"
_SEQUENCE = re.compile(
    f"{_PARAMETERS}[@-~]|{_STRINGS}[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\\\|\x9c)|\x1b[ -/]*[0-OQ-WYZ\\\\`-~]"
)
# The beginning of one, whose rest may come with the next piece.
_BEGUN = re.compile(f"(?:{_PARAMETERS}|{_STRINGS}[^\x07\x1b\x9c\n]*\x1b?|\x1b[ -/]*)\\Z")
# Control characters but line end and tab, other line ends, and marks that turn the direction of what follows.
_UNFIT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_HALVES = re.compile("[\ud800-\udfff]")
# What is begun and never ended must not swallow the answer.
_MOST_HELD = 256


class Cleaner:
    """For one text that comes in pieces; escape sequences may be cut anywhere."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """What of the text so far may be shown now."""
        text, self._held = _SEQUENCE.sub("", self._held + piece), ""
        begun = _BEGUN.search(text)
        if begun and len(begun[0]) <= _MOST_HELD:
            self._held = begun[0]
            text = text[: begun.start()]
        return _HALVES.sub("\ufffd", _UNFIT.sub("", text))


def one_line(text: str, most: int = 300) -> str:
    """The beginning of a text of somebody else's on one line."""
    return " ".join(Cleaner().feed(text).split())[:most]
