"""The source that makes up conversations from the lengths in a workload file: unique, or shared on purpose."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, Self

from loadtest.workload.schema import RequestKind, WorkloadFile
from loadtest.workload.source import HELD_OUT, Conversation, Lengths, Message, Place, SourceEntry, Turn, part_of
from loadtest.workload.texts import RunTexts


@dataclass(frozen=True, slots=True)
class Synthetic:
    """Users have the kinds in proportion to their weights, arrivals by chance with the same weights."""

    name: str
    description: str
    request_kinds: tuple[RequestKind, ...]
    tokens_per_word: float = 1.0
    overhead_tokens: float = 0.0

    @property
    def kinds(self) -> Sequence[str]:
        return [kind.name for kind in self.request_kinds]

    @property
    def models(self) -> Sequence[str]:
        return list(dict.fromkeys(kind.model for kind in self.request_kinds if kind.model))

    @property
    def keys(self) -> int:
        return max(kind.key for kind in self.request_kinds)

    @property
    def lengths(self) -> Lengths:
        kinds = self.request_kinds
        return Lengths(
            prompt=max(kind.prompt_tokens for kind in kinds),
            output=max(kind.output_tokens for kind in kinds),
            exact=all(kind.exact_length for kind in kinds),
        )

    def calibrated(self, tokens_per_word: float, overhead_tokens: float) -> Self:
        return replace(self, tokens_per_word=tokens_per_word, overhead_tokens=overhead_tokens)

    def conversation(self, place: Place, run: RunTexts) -> Conversation:
        kind = self._kind(place, run)
        turn = partial(self._turn, kind, place.label, run)
        return Conversation(kind.name, kind.turns, turn, kind.key, kind.think_s, kind.model)

    def describe(self) -> dict[str, Any]:
        words = {kind.name: self.words(kind.prompt_tokens - self.overhead_tokens) for kind in self.request_kinds}
        return {
            "source": "synthetic",
            "kinds": [kind.model_dump() for kind in self.request_kinds],
            "prompt_words": words,
            "output_tokens": "fixed by max_tokens, min_tokens and ignore_eos"
            if self.lengths.exact
            else "at most max_tokens",
        }

    def words(self, tokens: float) -> int:
        """How many words make so many tokens here."""
        return max(2, round(tokens / self.tokens_per_word))

    def _kind(self, place: Place, run: RunTexts) -> RequestKind:
        kinds = self.request_kinds
        if len(kinds) == 1:
            return kinds[0]
        if place.users is not None:
            return spread(kinds, place.users)[place.number]
        chance = run.chance(f"{place.label}/kind")
        return chance.choices(kinds, weights=[kind.weight for kind in kinds])[0]

    def _turn(self, kind: RequestKind, label: str, run: RunTexts, number: int) -> Turn:
        messages = self._opening(kind, label, run) if number == 1 else [self._question(kind, f"{label}/{number}", run)]
        return Turn(messages, kind.output_tokens, kind.exact_length)

    def _opening(self, kind: RequestKind, label: str, run: RunTexts) -> list[Message]:
        """The messages of a conversation's first turn."""
        messages, overhead = [], self.overhead_tokens
        if kind.system_tokens:
            system = run.text(f"system/{kind.name}", self.words(kind.system_tokens - overhead))
            messages.append({"role": "system", "content": system})
            overhead = 0.0
        question = run.text(label, self.words(kind.prompt_tokens - overhead))
        if kind.document_tokens:
            number = run.chance(f"{label}/document").randrange(kind.documents)
            document = run.text(f"document/{kind.name}/{number}", self.words(kind.document_tokens))
            question = f"{document}\n\n{question}"
        return [*messages, {"role": "user", "content": question}]

    def _question(self, kind: RequestKind, label: str, run: RunTexts) -> Message:
        """What a conversation goes on with."""
        return {"role": "user", "content": run.text(label, self.words(kind.prompt_tokens))}


def of_workload(workload: WorkloadFile, options: Namespace) -> Synthetic:
    """With the lengths that the options give (`max_tokens`, `prompt_tokens`) in place of the file's, for all kinds."""
    lengths = {"output_tokens": options.max_tokens, "prompt_tokens": options.prompt_tokens}
    changes = {name: value for name, value in lengths.items() if value}
    kinds = tuple(kind.model_copy(update=changes) for kind in workload.kinds)
    if part_of(options) == HELD_OUT:
        kinds = tuple(_held_out(kind) for kind in kinds)
    return Synthetic(workload.name, workload.description, kinds)


def _held_out(kind: RequestKind) -> RequestKind:
    """Near the load that was tuned for, and not it."""
    longer, shorter = round(kind.prompt_tokens * 1.25), max(1, round(kind.output_tokens * 0.8))
    return kind.model_copy(update={"prompt_tokens": longer, "output_tokens": shorter})


ENTRY = SourceEntry(of_workload)


def plain(prompt_tokens: int, output_tokens: int) -> Synthetic:
    """Unique prompts of one kind, without a word about tokens: a word counts as one."""
    kind = RequestKind(name="plain", prompt_tokens=prompt_tokens, output_tokens=output_tokens)
    return Synthetic("plain", "unique prompts of one length", (kind,))


@lru_cache(maxsize=64)
def spread(kinds: tuple[RequestKind, ...], count: int) -> Sequence[RequestKind]:
    """So many kinds, in proportion to their weights at every length of the list."""
    total = sum(kind.weight for kind in kinds)
    given = [0] * len(kinds)
    chosen = []
    for number in range(1, count + 1):
        index = max(range(len(kinds)), key=lambda i: kinds[i].weight * number / total - given[i])
        given[index] += 1
        chosen.append(kinds[index])
    return chosen
