"""Makes up texts of any length that no engine can have in its prefix cache by chance. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache

_WORDS = (
    "the river city light under garden winter table open small letter water paper green music house stone early "
    "market window carry distant bread answer north silver quiet morning follow engine bridge number summer floor "
    "between happy circle kitchen doctor yellow simple field travel ocean story second question village color "
    "machine family always forest station pencil metal corner island gentle basket"
).split()


@dataclass(frozen=True, slots=True)
class RunTexts:
    """What makes the texts of one run on one side its own.

    `nonce` is fresh in every run, or a cache that an earlier run filled would answer. `salt` names the side: two sides
    get the same texts but for the first word of each part, so that no side is served what another put into a cache.
    """

    nonce: str
    salt: str = ""

    def first_word(self, label: str) -> str:
        """Twelve hexadecimal digits, others for every label, side and run."""
        return f"{random.Random(f'{self.salt}/{self.nonce}/{label}').getrandbits(48):012x}"

    def text(self, label: str, words: int) -> str:
        """The same for the same label; its first word is in no text of any other label, side or run."""
        return _text(self, label, words)

    def chance(self, label: str) -> random.Random:
        """Drawn from the label and the run alone, so the same on every side."""
        return random.Random(f"{self.nonce}/{label}")


@lru_cache(maxsize=256)
def _text(run: RunTexts, label: str, words: int) -> str:
    """Kept, since a document of thousands of words is asked for again and again while the clock runs."""
    return " ".join([run.first_word(label), *run.chance(label).choices(_WORDS, k=max(words - 1, 1))])
