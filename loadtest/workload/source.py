"""`RequestSource`: the interface between a run and what it asks.

A source gives whole conversations: what is said in each turn, and how long the answer shall be. Nothing else knows
whether they are made up from lengths (`synthetic`), read from a file (`dataset`), or come from anywhere else
(`registry` has them by name).
"""

from __future__ import annotations

from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, runtime_checkable

from loadtest.core.errors import UsageProblem
from loadtest.workload.schema import MOST, WorkloadFile
from loadtest.workload.texts import RunTexts

Message = dict[str, str]
# Halves of a load that share no request: one to tune for, one to see whether that was right.
TUNED, HELD_OUT = PARTS = ("tuned", "held-out")


@dataclass(frozen=True, slots=True)
class Place:
    """Which conversation of a run: the same place has the same one on every side, and in every client process."""

    stage: str  # begins the label of all its requests; the same for the same stage of every side
    number: int  # of the user or of the arrival, from 0
    users: int | None = None  # how many share the stage; None: it is an arrival of an open loop
    index: int = 0  # how many conversations this user has had in this stage

    @property
    def label(self) -> str:
        return f"{self.stage}-{self.number}-{self.index}"


@dataclass(frozen=True, slots=True)
class Turn:
    """What a user adds to the conversation, and the answer that is wanted."""

    messages: Sequence[Message]
    output_tokens: int
    exact: bool = True  # the answer shall be as long as that, whatever the model would say


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turn by turn; the model's own answers go between them."""

    kind: str  # one of the source's `kinds`
    turns: int  # how many
    turn: Callable[[int], Turn]  # by number, from 1
    key: int = 1  # which key of the key file, from 1
    think_s: float = 0.0  # between an answer and the next turn
    model: str = ""  # whom it asks; empty: the run's own model


@dataclass(frozen=True, slots=True)
class Lengths:
    """What to expect of a request, in tokens: of prompts about, and the most of any kind."""

    prompt: int
    output: int
    exact: bool  # all answers have the length that was asked for


class RequestSource(Protocol):
    """Frozen, and cheap to send to another process: what is large is opened there again."""

    @property
    def name(self) -> str:
        """Of the workload, in reports and on dashboards; two reports of the same name asked for the same."""

    @property
    def description(self) -> str: ...

    @property
    def kinds(self) -> Sequence[str]:
        """The names of all kinds of conversations; a report has each apart where there are several."""

    @property
    def models(self) -> Sequence[str]:
        """The models that it asks, where it names them; a report has each apart where there are several."""

    @property
    def keys(self) -> int:
        """How many API keys it needs."""

    @property
    def lengths(self) -> Lengths: ...

    def calibrated(self, tokens_per_word: float, overhead_tokens: float) -> Self:
        """The same for a server whose tokenizer makes so many tokens of a word, and so many more of a request."""

    def conversation(self, place: Place, run: RunTexts) -> Conversation:
        """Always the same for the same place and run."""

    def describe(self) -> dict[str, Any]:
        """For the report, plain JSON values. `prompt_words`: by kind, about, as this server has them."""


@runtime_checkable
class TimedSource(Protocol):
    """A source that also knows when its requests come."""

    def starts(self, speed: float) -> list[float]:
        """Seconds from the first, so many times as fast as it was recorded; UsageProblem where that makes no run."""


def starts_of(source: RequestSource, speed: float) -> list[float]:
    """When its requests come; UsageProblem where it does not know."""
    if not isinstance(source, TimedSource):
        raise UsageProblem("--mode replay: only a trace knows when its requests came; give --trace FILE")
    return source.starts(speed)


@dataclass(frozen=True, slots=True)
class SourceOption:
    """An option of the command line. `read` gets its text and raises ArgumentTypeError; not given, it is None."""

    flag: str
    metavar: str
    help: str
    read: Callable[[str], Any] = str

    @property
    def name(self) -> str:
        return self.flag.removeprefix("--").replace("-", "_")


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """How a source is made: from the workload and all options. The first of its own options is what chooses it."""

    make: Callable[[WorkloadFile, Namespace], RequestSource]
    options: Sequence[SourceOption] = ()


def part_of(options: Namespace) -> str | None:
    """Which half of its load a command line wants; None for the whole."""
    found: str | None = getattr(options, "part", None)
    return found


def in_part(number: int, part: str | None) -> bool:
    """Whether the request with this number, from 0, belongs to it."""
    return part is None or number % 2 == PARTS.index(part)


def whole_number(text: str) -> int:
    """For an option's `read`: at least 1."""
    if not text.isdecimal() or len(text) > 7 or not 1 <= int(text) <= MOST:
        raise ArgumentTypeError(f"'{text}' is not a whole number of at least 1")
    return int(text)
