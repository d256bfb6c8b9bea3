"""Lines that a person types: with arrow keys and the lines of earlier days where there is a terminal."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TextIO

_MOST_LINES = 1000
BLOCK = '"""'


class TypedLines:
    """`edited`: both ends are a terminal, so Python's own `input` edits; else the prompt goes to `prompts`."""

    def __init__(self, source: TextIO, prompts: TextIO, editor: ModuleType | None) -> None:
        self._source, self._prompts, self._editor = source, prompts, editor

    def read(self, prompt: str) -> str:
        """What is asked next, of several lines between marks; EOFError at the end of all."""
        text = self._line(prompt)
        if not text.lstrip().startswith(BLOCK):
            return text
        text = text.lstrip().removeprefix(BLOCK)
        while BLOCK not in text:
            text += "\n" + self._line("... ")
        return text.replace(BLOCK, "", 1).strip("\n")

    def unfinished(self) -> bool:
        """Whether something stood in the line that a Ctrl-C has just left."""
        return bool(self._editor and self._editor.get_line_buffer())

    def _line(self, prompt: str) -> str:
        if self._editor:
            return input(prompt)
        self._prompts.write(prompt)
        self._prompts.flush()
        line = self._source.readline()
        if not line:
            raise EOFError
        return line.rstrip("\n")


@contextlib.contextmanager
def editor(history: Path) -> Iterator[ModuleType | None]:
    """Python's line editor with the history of `history`, which is kept there at the end; None where there is none."""
    try:
        import readline
    except ImportError:
        yield None
        return
    readline.set_history_length(_MOST_LINES)
    with contextlib.suppress(OSError):
        readline.read_history_file(history)
    try:
        yield readline
    finally:
        with contextlib.suppress(OSError):  # a checkout of somebody else's
            history.parent.mkdir(exist_ok=True)
            os.close(os.open(history, os.O_CREAT | os.O_WRONLY, 0o600))  # what one asks is nobody's business
            readline.write_history_file(history)
