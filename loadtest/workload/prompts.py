"""Prompts: unique or shared on purpose, of a wanted length in tokens, and the bodies that fix the answers' length."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from loadtest.workload.schema import RequestKind

CHAT_PATH = "/v1/chat/completions"
_WORDS = (
    "the river city light under garden winter table open small letter water paper green music house stone early "
    "market window carry distant bread answer north silver quiet morning follow engine bridge number summer floor "
    "between happy circle kitchen doctor yellow simple field travel ocean story second question village color "
    "machine family always forest station pencil metal corner island gentle basket"
).split()

Message = dict[str, str]


@dataclass(frozen=True, slots=True)
class Prompts:
    """The texts of one run on one server.

    `nonce` is fresh in every run, or a cache that an earlier run filled would answer. `salt` names the side: two sides
    get the same texts but for the first word of each part, so that no side is served what another put into a cache.
    Temperature 1 without a seed: what chat clients send, so the engine samples as it does for people.
    `ask_counts`: have the server tell with each event how many tokens there are by then (vLLM's continuous usage).
    """

    model: str
    kinds: tuple[RequestKind, ...]
    nonce: str
    salt: str = ""
    tokens_per_word: float = 1.0
    overhead_tokens: float = 0.0
    temperature: float = 1.0
    ask_counts: bool = False

    def words(self, tokens: float) -> int:
        """How many words make so many tokens here."""
        return max(2, round(tokens / self.tokens_per_word))

    def text(self, label: str, words: int) -> str:
        """The same for the same label; its first words are in no text of any other label, side or run."""
        return _text(self.nonce, self.salt, label, words)

    def opening(self, kind: RequestKind, label: str) -> list[Message]:
        """The messages of a conversation's first turn."""
        messages, overhead = [], self.overhead_tokens
        if kind.system_tokens:
            system = self.text(f"system/{kind.name}", self.words(kind.system_tokens - overhead))
            messages.append({"role": "system", "content": system})
            overhead = 0.0
        question = self.text(label, self.words(kind.prompt_tokens - overhead))
        if kind.document_tokens:
            number = random.Random(f"{self.nonce}/{label}/document").randrange(kind.documents)
            document = self.text(f"document/{kind.name}/{number}", self.words(kind.document_tokens))
            question = f"{document}\n\n{question}"
        return [*messages, {"role": "user", "content": question}]

    def question(self, kind: RequestKind, label: str, turn: int) -> Message:
        """What a conversation goes on with."""
        return {"role": "user", "content": self.text(f"{label}/{turn}", self.words(kind.prompt_tokens))}

    def body(self, messages: Sequence[Message], kind: RequestKind, max_tokens: int | None = None) -> bytes:
        """`ignore_eos` and `min_tokens` are vLLM's own fields: with them every answer has the same length."""
        tokens = max_tokens or kind.output_tokens
        usage = {"include_usage": True} | ({"continuous_usage_stats": True} if self.ask_counts else {})
        body: dict[str, Any] = {
            "model": self.model,
            "messages": messages,
            "max_tokens": tokens,
            "temperature": self.temperature,
            "stream": True,
            "stream_options": usage,
        }
        if kind.exact_length:
            body |= {"min_tokens": tokens, "ignore_eos": True}
        return orjson.dumps(body)


@lru_cache(maxsize=256)
def _text(nonce: str, salt: str, label: str, words: int) -> str:
    """Kept, since a document of thousands of words is asked for again and again while the clock runs."""
    first = random.Random(f"{salt}/{nonce}/{label}").getrandbits(48)
    choices = random.Random(f"{nonce}/{label}").choices(_WORDS, k=max(words - 1, 1))
    return " ".join([f"{first:012x}", *choices])


def line_through(short: tuple[int, int], long: tuple[int, int]) -> tuple[float, float]:
    """(tokens per word, tokens of overhead) through two measured points (words, prompt tokens).

    (1, 0) where the longer prompt is not the one with more tokens: such a server's counts tell nothing.
    """
    per_word = (long[1] - short[1]) / (long[0] - short[0])
    return (per_word, max(0.0, short[1] - short[0] * per_word)) if per_word > 0 else (1.0, 0.0)


def plain(model: str, prompt_tokens: int, output_tokens: int, nonce: str) -> Prompts:
    """Unique prompts of one kind, without a word about tokens: a word counts as one."""
    return Prompts(model, (RequestKind(name="plain", prompt_tokens=prompt_tokens, output_tokens=output_tokens),), nonce)


def spread(kinds: Sequence[RequestKind], count: int) -> list[RequestKind]:
    """So many kinds, in proportion to their weights at every length of the list."""
    total = sum(kind.weight for kind in kinds)
    given = [0] * len(kinds)
    chosen = []
    for number in range(1, count + 1):
        index = max(range(len(kinds)), key=lambda i: kinds[i].weight * number / total - given[i])
        given[index] += 1
        chosen.append(kinds[index])
    return chosen
