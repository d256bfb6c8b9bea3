"""Prompts: unique, of a wanted length in tokens, and the request body that fixes the output's length."""

from __future__ import annotations

import random
from dataclasses import dataclass

import orjson

CHAT_PATH = "/v1/chat/completions"
_WORDS = (
    "the river city light under garden winter table open small letter water paper green music house stone early "
    "market window carry distant bread answer north silver quiet morning follow engine bridge number summer floor "
    "between happy circle kitchen doctor yellow simple field travel ocean story second question village color "
    "machine family always forest station pencil metal corner island gentle basket"
).split()


@dataclass(frozen=True, slots=True)
class Workload:
    """What every request of a run asks for.

    Temperature 1 without a seed: what chat clients send, so the engine samples as it does for people.
    """

    model: str
    max_tokens: int
    words: int
    nonce: str
    temperature: float = 1.0

    def prompt(self, label: str, words: int | None = None) -> str:
        """A text no other request of any run has: its first words differ, so no cached prefix can serve it."""
        source = random.Random(f"{self.nonce}/{label}")
        count = self.words if words is None else words
        return " ".join([f"{source.getrandbits(48):012x}", *source.choices(_WORDS, k=max(count - 1, 1))])

    def body(self, label: str, max_tokens: int | None = None, words: int | None = None) -> bytes:
        """`ignore_eos` and `min_tokens` are vLLM's own fields: with them every answer has the same length."""
        tokens = max_tokens or self.max_tokens
        return orjson.dumps(
            {
                "model": self.model,
                "messages": [{"role": "user", "content": self.prompt(label, words)}],
                "max_tokens": tokens,
                "min_tokens": tokens,
                "ignore_eos": True,
                "temperature": self.temperature,
                "stream": True,
                "stream_options": {"include_usage": True},
            }
        )


def words_for(target: int, short: tuple[int, int], long: tuple[int, int]) -> int:
    """How many words make a prompt of `target` tokens, by two measured (words, prompt tokens) points."""
    per_word = (long[1] - short[1]) / (long[0] - short[0])
    if per_word <= 0:
        return target
    overhead = short[1] - short[0] * per_word
    return max(2, round((target - overhead) / per_word))
