"""The source that replays recorded conversations from a file.

What is replayed must not be served from what an earlier run, stage or side left in the engine's prefix cache, or the
server would look faster than it is. So each conversation begins with a word that is the same for one pass over the file
in one stage of one run on one side, and nowhere else. What the file's conversations share, such as a system prompt, is
shared within that pass, as it would be in service; the report's usage says how many tokens the engine had in its cache.
"""

from __future__ import annotations

import hashlib
import json
import random
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

from loadtest.core.errors import UsageProblem
from loadtest.workload.dataset_file import OPTION, Recorded, RecordedConversation, RecordedTurn, read_conversations
from loadtest.workload.schema import WorkloadFile
from loadtest.workload.source import (
    Conversation,
    Lengths,
    Place,
    SourceEntry,
    SourceOption,
    Turn,
    in_part,
    part_of,
    whole_number,
)
from loadtest.workload.texts import RunTexts

_KIND = "conversation"
_CHARACTERS_PER_TOKEN = 4  # about, of English; vLLM's tokenizers have 3.5 to 4.5
_UNKNOWN_ANSWER = 256  # tokens at most, where the file has no answer
_MOST = 1000  # conversations, unless told otherwise
_ORDER = 0  # of every run alike, so that two runs of a file ask the same


@dataclass(frozen=True, slots=True)
class DatasetChoice:
    """Which part of which file, and how it is used. Tokens are about, by the number of characters."""

    path: Path
    most: int = _MOST  # conversations
    context: int | None = None  # tokens, prompt and answers; turns beyond it are left out
    max_tokens: int | None = None  # of every answer; None: as long as the recorded one
    part: str | None = None  # one of `source.PARTS`; None: the whole


@dataclass(frozen=True, slots=True)
class Dataset:
    """Sent to another process it is the choice alone: the file is read there again, and must be the same."""

    choice: DatasetChoice
    digest: str  # of what was read
    recorded: Recorded = field(repr=False, compare=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self.choice, self.digest)

    @property
    def name(self) -> str:
        return f"{self.choice.path.name} ({self.digest[:8]})"

    @property
    def description(self) -> str:
        recorded = self.recorded
        few = "" if recorded.whole else "the first "
        return f"{few}{len(recorded.conversations)} conversations of {self.choice.path.name}"

    @property
    def kinds(self) -> Sequence[str]:
        return [_KIND]

    @property
    def models(self) -> Sequence[str]:
        return []

    @property
    def keys(self) -> int:
        return 1

    @property
    def lengths(self) -> Lengths:
        turns = [turn for conversation in self.recorded.conversations for turn in conversation]
        return Lengths(
            prompt=max(_tokens(turn.characters) for turn in turns),
            output=max(_answer(turn, self.choice)[0] for turn in turns),
            exact=all(_answer(turn, self.choice)[1] for turn in turns),
        )

    def calibrated(self, _tokens_per_word: float, _overhead_tokens: float) -> Self:
        """As it is: texts are replayed whole."""
        return self

    def conversation(self, place: Place, run: RunTexts) -> Conversation:
        """One after the other over all users of a stage, from the first again after the last."""
        count = len(self.recorded.conversations)
        number = place.number if place.users is None else place.index * place.users + place.number
        chosen = self.recorded.conversations[number % count]
        first_word = run.first_word(f"{place.stage}/pass {number // count}")
        return Conversation(_KIND, len(chosen), partial(self._turn, chosen, first_word))

    def describe(self) -> dict[str, Any]:
        recorded, choice = self.recorded, self.choice
        turns = [turn for conversation in recorded.conversations for turn in conversation]
        words = sum(len(message["content"].split()) for turn in turns for message in turn.messages)
        return {
            "source": "dataset",
            "kinds": [{"name": _KIND}],
            "file": choice.path.name,
            "sha256": self.digest,
            "conversations": len(recorded.conversations),
            "turns": len(turns),
            "left_out": recorded.left_out,
            "whole_file": recorded.whole,
            "context_tokens": choice.context,
            "prompt_words": {_KIND: round(words / len(turns))},
            "output_tokens": "as long as the recorded answers, about" if choice.max_tokens is None else "fixed",
            "prefix_cache": "nothing is served from an earlier run, stage, side or pass over the file; what the file's "
            "conversations share can be",
        }

    def _turn(self, conversation: RecordedConversation, first_word: str, number: int) -> Turn:
        recorded = conversation[number - 1]
        messages = [dict(message) for message in recorded.messages]
        if number == 1:
            messages[0]["content"] = f"{first_word} {messages[0]['content']}"
        return Turn(messages, *_answer(recorded, self.choice))


def read_dataset(choice: DatasetChoice) -> Dataset:
    """UsageProblem, in one line, when the file is not fit."""
    recorded = read_conversations(choice.path, choice.most)
    fitting = [_within(conversation, choice) for conversation in recorded.conversations]
    conversations = [conversation for conversation in fitting if conversation]
    if not conversations:
        raise UsageProblem(
            f"{OPTION} {choice.path}: no conversation fits into --dataset-context {choice.context}; give a larger one"
        )
    said = hashlib.sha256((choice.part or "").encode())
    for conversation in conversations:
        turns = [[turn.messages, turn.answer_characters] for turn in conversation]
        said.update(json.dumps(turns, sort_keys=True).encode())
    random.Random(_ORDER).shuffle(conversations)  # a file may be sorted, by length or by topic
    left_out = recorded.left_out + len(fitting) - len(conversations)
    conversations = [one for number, one in enumerate(conversations) if in_part(number, choice.part)]
    if not conversations:
        raise UsageProblem(f"{OPTION} {choice.path}: one conversation has no other half for --part; give a larger file")
    return Dataset(choice, said.hexdigest(), Recorded(tuple(conversations), left_out, recorded.whole))


def _within(conversation: RecordedConversation, choice: DatasetChoice) -> RecordedConversation:
    """As many turns as fit into the context."""
    if choice.context is None:
        return conversation
    total = 0
    for number, turn in enumerate(conversation):
        total += _tokens(turn.characters) + _answer(turn, choice)[0]
        if total > choice.context:
            return conversation[:number]
    return conversation


def _answer(turn: RecordedTurn, choice: DatasetChoice) -> tuple[int, bool]:
    """Tokens to ask for, and whether it shall be exactly as many."""
    if choice.max_tokens is not None:
        return choice.max_tokens, True
    return (_UNKNOWN_ANSWER, False) if turn.answer_characters is None else (_tokens(turn.answer_characters), True)


def _tokens(characters: int) -> int:
    return max(1, round(characters / _CHARACTERS_PER_TOKEN))


def _reopened(choice: DatasetChoice, digest: str) -> Dataset:
    made = read_dataset(choice)
    if made.digest != digest:
        raise UsageProblem(
            f"{OPTION} {choice.path}: the file has changed since the run began; run again, and leave it unchanged"
        )
    return made


def _of_options(_: WorkloadFile, options: Namespace) -> Dataset:
    if options.prompt_tokens:
        raise UsageProblem(
            f"--prompt-tokens: with {OPTION} the file decides the prompts; use --dataset-context to limit their length"
        )
    return read_dataset(
        DatasetChoice(
            Path(options.dataset).resolve(),
            options.dataset_limit or _MOST,
            options.dataset_context,
            options.max_tokens or None,
            part_of(options),
        )
    )


ENTRY = SourceEntry(
    _of_options,
    [
        SourceOption(
            OPTION,
            "FILE",
            "replay the conversations of this file: JSON or JSON Lines, in the format of ShareGPT or OpenAI",
        ),
        SourceOption(
            "--dataset-limit", "N", f"number of conversations to take from the file (default {_MOST})", whole_number
        ),
        SourceOption("--dataset-context", "N", "leave out turns beyond about N tokens", whole_number),
    ],
)
