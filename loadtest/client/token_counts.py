"""How many tokens each read of an answer brought, and the times between tokens that follow. Pure.

An event may hold several tokens: speculative decoding, `--stream-interval`, parsers that hold text back, a server that
is behind. The gap before a read belongs to all tokens of that read.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from loadtest.client.sse import MOST_TOKENS, StreamedAnswer

# Whether to have the server count the tokens of each event; "auto": where they hold several.
TokenCounts = Literal["auto", "always", "never"]


class Counting(StrEnum):
    """How the tokens of an answer's events are known."""

    SINGLE = "single"  # one event, one token: the usage has as many tokens as there were events, or one more or less
    COUNTED = "counted"  # the server told with each event how many there were by then (continuous usage)
    SHARED = "shared"  # usage knows only the sum, which the events share evenly
    EVENTS = "events"  # no usage: an event is taken for a token


@dataclass(frozen=True, slots=True)
class AnswerTokens:
    """Of one answer: tokens of the first read with text, then (nanoseconds, tokens) of each later one."""

    counting: Counting
    first: float
    gaps: Sequence[tuple[int, float]]


def tokens_of(answer: StreamedAnswer) -> AnswerTokens:
    """A token without text of its own, such as the one that ends the answer, is in no read; usage counts it."""
    counts = _trusted(answer)
    if counts is not None:
        grown = [later - before for before, later in zip(counts, counts[1:], strict=False)]
        waits = [gap for gap, _ in answer.gaps]
        return AnswerTokens(Counting.COUNTED, counts[0], list(zip(waits, grown, strict=True)))
    if answer.usage is None:
        return AnswerTokens(Counting.EVENTS, answer.first_events, answer.gaps)
    if not answer.events or abs(answer.usage.output - answer.events) <= 1:
        return AnswerTokens(Counting.SINGLE, answer.first_events, answer.gaps)
    each = answer.usage.output / answer.events
    return AnswerTokens(
        Counting.SHARED, answer.first_events * each, [(gap, events * each) for gap, events in answer.gaps]
    )


def first_tokens(answer: StreamedAnswer) -> int:
    """Tokens of the first read with text: counted by the server, else one for each event, as engines make the first
    token alone."""
    counts = _trusted(answer)
    return answer.first_events if counts is None else counts[0]


def several_counted(answer: StreamedAnswer) -> bool:
    """Whether this answer's events held several tokens and the server counted them."""
    counts = _trusted(answer)
    return counts is not None and counts[-1] > 1.1 * answer.events + 1


def _trusted(answer: StreamedAnswer) -> Sequence[int] | None:
    """The server's counts, where every read has one and they agree with each other and with the final usage."""
    counts, usage = answer.counts, answer.usage
    if not counts or usage is None or len(counts) != answer.reads:
        return None
    grow = all(before <= later for before, later in zip(counts, counts[1:], strict=False))
    return counts if grow and 1 <= counts[0] and counts[-1] <= usage.output else None


def between(gaps: Iterable[tuple[float, float]]) -> Iterator[tuple[float, int]]:
    """(time between tokens, how many tokens have it) for each (gap, tokens): one value a token, in the gap's unit.

    Where the tokens of a read are a fraction, or none, its time goes on to the next read that makes a whole token, and
    the read itself has none.
    """
    waited = waiting = whole = 0.0
    given = 0
    for gap, tokens in gaps:
        waited += gap
        waiting += tokens
        whole += tokens
        count = math.floor(whole + 0.5 + 1e-6) - given
        if count > MOST_TOKENS:
            raise ValueError(f"{count} tokens in one read")
        if count > 0 and waiting > 0:
            yield waited / waiting, count
            given += count
            waited = waiting = 0.0
        else:
            yield 0.0, 0


def told(clients: Sequence[Mapping[str, Any]]) -> str:
    """What a reader of ITL has to know of these stages, in a sentence; empty where an event is a token."""
    ways: Counter[str] = Counter()
    for client in clients:
        ways.update(client.get("counting") or {})  # a report of an older version does not say
    parts = [words for way, words in _WORDS.items() if ways[way]]
    if not parts:
        return ""
    held = [client["tokens_per_event"] for client in clients if client.get("tokens_per_event")]
    low, high = (f"{value:.1f}" for value in (min(held), max(held))) if held else ("", "")
    size = "" if not held or ways[Counting.EVENTS] == ways.total() else f" (an event held {_range(low, high)} tokens)"
    return f"ITL{size}: {'; '.join(parts)}."


def _range(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"


_WORDS = {
    Counting.COUNTED: "the server counted the tokens of each event",
    Counting.SHARED: "an answer's events share its tokens evenly, since the server told only their sum",
    Counting.EVENTS: "between events, which may hold several tokens, where an answer had no usage",
}
