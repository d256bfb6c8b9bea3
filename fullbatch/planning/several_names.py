"""Names by which clients ask for one of several models: none may be taken for another model's. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from fullbatch.planning import engine_args
from fullbatch.planning.profile import Profile

# For all names that are nobody's: it cannot be taken for another.
_ANY = "*"
# Ollama's clients add or leave out this tag.
_LATEST = ":latest"


@dataclass(frozen=True)
class CalledBy:
    """One name of ``models[number]``. `alias`: it may end with '*'."""

    text: str
    number: int
    alias: bool = False

    @property
    def where(self) -> str:
        return f"models[{self.number}]" + (".aliases" if self.alias else "")

    @property
    def start(self) -> str | None:
        """What all names begin with that it stands for; None for a name."""
        return self.text[:-1] if self.alias and self.text.endswith("*") else None


def faults(profiles: Sequence[Profile]) -> Iterator[str]:
    """A line for each two names of different models that clash."""
    names = [one for number, profile in enumerate(profiles) for one in _names(number, profile)]
    for first, second in combinations(names, 2):
        if first.number != second.number and (fault := _clash(first, second)):
            yield fault


def _names(number: int, profile: Profile) -> Iterator[CalledBy]:
    for text in (profile.facts.served_name, *profile.adapters, *engine_args.adapters(profile.engine.args)):
        yield CalledBy(text, number)
    for text in profile.aliases:
        yield CalledBy(text, number, alias=True)


def _clash(first: CalledBy, second: CalledBy) -> str:
    """What is wrong with two names in this order of their models; empty if nothing is."""
    if first.text == second.text:
        where = f"models[{second.number}]: models[{first.number}]"
        return f"{where} is called '{first.text}' too; serve it once, or rename it"
    if _ANY in (first.text, second.text):
        return ""
    for wide, narrow in ((first, second), (second, first)):
        if wide.start is not None and narrow.text.startswith(wide.start):
            return (
                f"{wide.where}: '{wide.text}' takes in '{narrow.text}' of {narrow.where}; write its names one by one, "
                "or a longer beginning"
            )
    if first.text.casefold() == second.text.casefold():
        both = f"'{second.text}' and '{first.text}' of {first.where}"
        return f"{second.where}: {both} differ in capitals alone; rename one"
    if first.text.removesuffix(_LATEST) == second.text.removesuffix(_LATEST):
        both = f"'{second.text}' and '{first.text}' of {first.where}"
        return f"{second.where}: {both} are one name to Ollama's clients; rename one"
    return ""
