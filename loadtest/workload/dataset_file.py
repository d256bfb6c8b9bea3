"""Reads conversations from a file of others: a JSON array or JSON Lines, of ShareGPT's or OpenAI's shape.

    {"conversations": [{"from": "human", "value": "…"}, {"from": "gpt", "value": "…"}, …]}
    {"messages": [{"role": "system", "content": "…"}, {"role": "user", "content": "…"}, …]}

Such a file may have gigabytes, so it is read piece by piece and no further than conversations are wanted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from common.printable import one_line
from loadtest.core.errors import UsageProblem
from loadtest.workload.source import Message

OPTION = "--dataset"
_MARK = re.compile(r"\S")
_HALF = re.compile("[\ud800-\udfff]")  # of a character: JSON can write it, a request cannot
_PIECE = 1 << 18  # characters
_MOST_ENTRY = 1 << 22  # characters of one conversation; longer than any context
_MOST_TEXT = 1 << 28  # characters that are kept
_MOST_READ = 1 << 30  # characters that are looked at: what does not come by then is not in the file
_ROLES = {
    "system": "system", "developer": "system",
    "human": "user", "user": "user",
    "gpt": "assistant", "assistant": "assistant", "chatgpt": "assistant", "model": "assistant", "bing": "assistant",
    "bard": "assistant",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class RecordedTurn:
    """What the user said, with what stood before it; and how many characters were answered, None for no answer."""

    messages: tuple[Message, ...]
    answer_characters: int | None

    @property
    def characters(self) -> int:
        return sum(len(message["content"]) for message in self.messages)


RecordedConversation = tuple[RecordedTurn, ...]


@dataclass(frozen=True, slots=True)
class Recorded:
    """`left_out`: conversations without a question, or with tools or pictures. `whole`: the file has no others."""

    conversations: tuple[RecordedConversation, ...]
    left_out: int
    whole: bool


def read_conversations(path: Path, most: int) -> Recorded:
    """At most so many. UsageProblem, in one line, for what is no such file or has none."""
    found: list[RecordedConversation] = []
    left_out, kept, whole = 0, 0, True
    try:
        if not path.is_file():  # a pipe or a device has no end, and another process could not read it again
            raise UsageProblem(f"{OPTION} {path}: {'not a file; name a file' if path.exists() else 'no such file'}")
        with path.open(encoding="utf-8-sig") as file:
            reader = _Reader(file, path)
            for number, value in enumerate(_values(reader), start=1):
                turns = _turns(_messages(value, f"{OPTION} {path}: conversation {number}"))
                left_out += not turns
                if turns:
                    found.append(turns)
                    kept += sum(turn.characters for turn in turns)
                if len(found) == most or kept > _MOST_TEXT or reader.characters > _MOST_READ:
                    whole = False
                    break
    except OSError as error:
        raise UsageProblem(f"{OPTION} {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageProblem(f"{OPTION} {path}: not UTF-8 text") from error
    if not found:
        why = f"none of its {left_out} conversations has a question in text" if left_out else "no conversation in it"
        raise UsageProblem(f"{OPTION} {path}: {why}")
    return Recorded(tuple(found), left_out, whole)


def _messages(value: object, where: str) -> list[tuple[str, str | None]]:
    """(role, text) of each; a text is None where there is more to it than text. UsageProblem for another shape."""
    if not isinstance(value, dict):
        raise UsageProblem(f"{where}: write an object")
    said = value.get("messages", value.get("conversations"))
    if not isinstance(said, list):
        keys = one_line(", ".join(map(str, value)) or "nothing", 80)
        raise UsageProblem(f"{where}: write a list 'messages' (OpenAI) or 'conversations' (ShareGPT); it has {keys}")
    return [_message(each, f"{where}, message {number}") for number, each in enumerate(said, start=1)]


def _message(each: object, where: str) -> tuple[str, str | None]:
    if isinstance(each, dict):
        role, text = each.get("role", each.get("from")), each.get("content", each.get("value"))
        if isinstance(role, str) and (text is None or isinstance(text, str | list)):
            return role, _text_of(text)
    raise UsageProblem(f"{where}: write 'role' and 'content' (OpenAI) or 'from' and 'value' (ShareGPT), both texts")


def _text_of(content: str | list[object] | None) -> str | None:
    """Of OpenAI's parts, where all are text."""
    if isinstance(content, list):
        texts = [
            part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in content
        ]
        content = "".join(map(str, texts)) if all(isinstance(text, str) for text in texts) else None
    return None if content is None else _HALF.sub("\ufffd", content)


def _turns(messages: list[tuple[str, str | None]]) -> RecordedConversation:
    """A turn ends where the assistant answers, or with the conversation; what it said before any question is left out.

    Empty for a conversation with another role, such as a tool's, with more than text, or with an empty question.
    """
    turns: list[RecordedTurn] = []
    waiting: list[Message] = []
    for role, text in messages:
        known = _ROLES.get(role)
        if known is None or text is None or (known == "user" and not text.strip()):
            return ()
        if known != "assistant":
            waiting.append({"role": known, "content": text})
        elif any(message["role"] == "user" for message in waiting):
            turns.append(RecordedTurn(tuple(waiting), len(text)))
            waiting = []
    if any(message["role"] == "user" for message in waiting):
        turns.append(RecordedTurn(tuple(waiting), None))
    return tuple(turns)


def _values(reader: _Reader) -> Iterator[object]:
    """The members of an array, or one value after the other."""
    if reader.next_mark() == "[":
        yield from _members(reader)
        return
    number = 0
    while reader.next_mark():
        number += 1
        yield reader.value(number)


def _members(reader: _Reader) -> Iterator[object]:
    reader.skip()
    number = 0
    while reader.next_mark() != "]":
        if number and reader.next_mark() != ",":
            raise reader.problem(number + 1, "write ',' or ']'")
        if number:
            reader.skip()
        number += 1
        yield reader.value(number)
    reader.skip()
    if reader.next_mark():
        raise reader.problem(number + 1, "there is more after the end of the array")


class _Reader:
    """JSON values from a stream, holding no more of it than one value and a piece."""

    def __init__(self, file: TextIO, path: Path) -> None:
        self.characters = 0  # that were looked at by now
        self._file = file
        self._path = path
        self._decoder = json.JSONDecoder()
        self._buffer, self._at = "", 0

    def next_mark(self) -> str:
        """The next character that is no blank, without taking it; empty at the end."""
        before = self.characters
        while (found := _MARK.search(self._buffer, self._at)) is None:
            if self.characters - before > _MOST_ENTRY:
                raise UsageProblem(f"{OPTION} {self._path}: more than {_MOST_ENTRY >> 20} Mi blanks in a row")
            self._at = len(self._buffer)
            if not self._more():
                return ""
        self._at = found.start()
        return found[0]

    def skip(self) -> None:
        self._at += 1

    def value(self, number: int) -> object:
        if self.next_mark() != "{":
            raise self.problem(number, "write an object")
        while True:
            try:
                value, self._at = self._decoder.raw_decode(self._buffer, self._at)
            except json.JSONDecodeError as error:
                if len(self._buffer) - self._at > _MOST_ENTRY:
                    longest = f"or it is longer than {_MOST_ENTRY >> 20} Mi characters"
                    raise self.problem(number, f"{error.msg}, {longest}") from error
                if not self._more():
                    raise self.problem(number, error.msg) from error
            except (ValueError, RecursionError) as error:  # a number of 5,000 digits, 10,000 brackets
                raise self.problem(number, str(error)) from error
            else:
                return value

    def problem(self, number: int, why: str) -> UsageProblem:
        return UsageProblem(f"{OPTION} {self._path}: not JSON at conversation {number}: {one_line(why)}")

    def _more(self) -> bool:
        piece = self._file.read(_PIECE)
        self.characters += len(piece)
        self._buffer, self._at = self._buffer[self._at :] + piece, 0
        return bool(piece)
