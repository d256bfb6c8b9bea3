"""Where an answer is shown: a terminal, with the dim parts dim where that is wanted, or a plain stream of text."""

from __future__ import annotations

from typing import TextIO

from fullbatch.chat.cleaning import Cleaner
from fullbatch.chat.server import AnswerStream, Piece

_DIM, _RED, _PLAIN = "\x1b[2m", "\x1b[31m", "\x1b[0m"


class Screen:
    """`terminal`: somebody looks at it, so reasoning and figures are shown too; `styled`: with colours."""

    def __init__(self, out: TextIO, *, terminal: bool, styled: bool) -> None:
        self.terminal = terminal
        self._out, self._styled = out, styled
        self._cleaner = Cleaner()
        self._kind, self._last, self._begun = "", "\n", False

    def begin(self) -> None:
        """A new answer."""
        self._cleaner, self._kind, self._last, self._begun = Cleaner(), "", "\n", False

    def piece(self, piece: Piece) -> None:
        """Show it at once. A plain stream gets the answer alone."""
        if piece.kind == "reasoning" and not self.terminal:
            return
        if piece.kind != self._kind:
            self._change(piece.kind)
        text = self._cleaner.feed(piece.text)
        if self.terminal and not self._begun:
            text = text.lstrip()
        if text:
            self._begun = True
            self._write(text)

    def end(self) -> None:
        """The answer is over, whole or not: what follows begins on a line of its own."""
        if self._styled and self._kind == "reasoning":
            self._out.write(_PLAIN)
        if self._last != "\n":
            self._write("\n")
        self._kind = ""

    def note(self, text: str) -> None:
        """Something of the program's own, beneath or between."""
        self._write(f"{_DIM}{text}{_PLAIN}\n" if self._styled else f"{text}\n")

    def error(self, text: str) -> None:
        self._write(f"{_RED}{text}{_PLAIN}\n" if self._styled else f"{text}\n")

    def _change(self, kind: str) -> None:
        before, self._kind, self._begun = self._kind, kind, False
        self._cleaner = Cleaner()
        if kind == "reasoning":
            self._out.write(_DIM if self._styled else "(thinking) ")
        elif before:
            self._out.write(f"{_PLAIN}\n\n" if self._styled else "\n\n")
            self._last = "\n"

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()
        self._last = text[-1]


def figures(answer: AnswerStream) -> str:
    """One line: time to the first token, speed, tokens; and why it ended where it was cut."""
    parts = []
    if answer.ttft_s is not None:
        parts.append(f"first token {seconds(answer.ttft_s)}")
    if answer.tokens_per_s is not None:
        parts.append(f"{answer.tokens_per_s:.1f} tokens/s")
    written, read = answer.usage.get("completion_tokens"), answer.usage.get("prompt_tokens")
    if isinstance(written, int) and isinstance(read, int):
        parts.append(f"{read} + {written} tokens")
    if answer.finish_reason == "length":
        parts.append("cut: no more tokens were allowed, or the context is full (/clear)")
    return " · ".join(parts) or "no text came"


def seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"
