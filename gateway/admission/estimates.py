"""What a request is expected to need: the one estimate that admission, fairness, limits and billing share. No clock.

A prompt's tokens come from its size, corrected by how many tokens this model's prompts have had for theirs. An answer's
are a quantile of what answers lately were: this key's with a bound of this size, or everybody's, or a first guess.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict, deque

from gateway.core.call import Call, Usage

# While nothing is known: a chat's answer; where the request bounds it, the bound, up to this.
FIRST_GUESS_TOKENS = 200
FIRST_GUESS_BOUNDED = 512
# Over the middle, since one that is too short is paid for with a preemption; not much, since sums even out.
QUANTILE = 0.6
# Answers that are remembered of each kind, how many of them are needed to believe them, and how many kinds.
REMEMBERED = 64
_ENOUGH = 4
_MOST_KINDS = 4096
_SAMPLE = 8
# How fast old prompts are forgotten, the size from which on one says something, and the bounds of what is believed.
_PROMPT_MEMORY = 0.98
_LEAST_PROMPT_TOKENS = 16
_LEAST_RATIO, _MOST_RATIO = 0.1, 8.0

# Model, key (empty: everybody's), size of the bound.
_Kind = tuple[str, str, int]


class AnswerLengths:
    """The lengths of the last answers of one kind. ``added``: how many there have been."""

    __slots__ = ("_last", "_sorted", "_whole", "added")

    def __init__(self) -> None:
        self.added = 0
        self._last: deque[tuple[int, bool]] = deque()
        self._sorted: list[int] = []
        self._whole = 0  # how many of them went to their bound

    def __len__(self) -> int:
        return len(self._last)

    def __bool__(self) -> bool:
        return bool(self._last)

    def add(self, tokens: int, bound: int | None = None) -> None:
        self.added += 1
        whole = bound is not None and tokens >= bound
        self._last.append((tokens, whole))
        self._whole += whole
        if len(self._last) > REMEMBERED:
            oldest, was_whole = self._last.popleft()
            self._whole -= was_whole
            if oldest == tokens:
                return
            del self._sorted[bisect_left(self._sorted, oldest)]
        insort(self._sorted, tokens)

    def expected(self, bound: int | None = None) -> int:
        """The quantile, of at least one answer; the bound itself where as many as that went to theirs."""
        if bound is not None and self._whole > len(self._last) * (1 - QUANTILE):
            return bound
        known = self._sorted[min(len(self._sorted) - 1, int(len(self._sorted) * QUANTILE))]
        return known if bound is None else min(known, bound)


class _Prompts:
    """One model's: tokens counted, and guessed by size, both fading; ``ratio``: the one to the other, in bounds."""

    __slots__ = ("_counted", "_guessed", "ratio")

    def __init__(self) -> None:
        self._counted = 0.0
        self._guessed = 0.0
        self.ratio = 1.0

    def learn(self, counted: int, guessed: int) -> None:
        self._counted = self._counted * _PROMPT_MEMORY + counted
        self._guessed = self._guessed * _PROMPT_MEMORY + guessed
        ratio = self._counted / self._guessed
        self.ratio = _LEAST_RATIO if ratio < _LEAST_RATIO else _MOST_RATIO if ratio > _MOST_RATIO else ratio


class Estimates:
    """Learns from what engines have counted."""

    def __init__(self) -> None:
        self._kinds: OrderedDict[_Kind, AnswerLengths] = OrderedDict()
        self._prompts: dict[str, _Prompts] = {}  # by model

    def __len__(self) -> int:
        """Kinds of answers that are remembered."""
        return len(self._kinds)

    def __bool__(self) -> bool:
        return bool(self._kinds)

    def estimate(self, key: str, call: Call) -> None:
        """Set ``prompt_tokens`` and ``expected_output`` of a call that has just been read."""
        call.sized_tokens = sized = call.prompt_tokens
        prompts = self._prompts.get(call.model)
        if prompts is not None:
            call.prompt_tokens = int(sized * prompts.ratio + 0.5)
        bound = call.output_tokens
        if bound == 0:
            call.expected_output = 0.0
            return
        size = -1 if bound is None else bound.bit_length()
        lengths = self._kinds.get((call.model, key, size))
        if lengths is None or lengths.added < _ENOUGH:
            lengths = self._kinds.get((call.model, "", size))
        if lengths is not None and lengths.added >= _ENOUGH:
            call.expected_output = float(lengths.expected(bound))
        else:
            call.expected_output = float(FIRST_GUESS_TOKENS if bound is None else min(bound, FIRST_GUESS_BOUNDED))

    def learn(self, key: str, call: Call, usage: Usage) -> None:
        """What an engine has counted for it in the end. An answer that was cut short says nothing."""
        if not usage.exact:
            return
        model, bound = call.model, call.output_tokens
        if call.sized_tokens >= _LEAST_PROMPT_TOKENS:
            prompts = self._prompts.get(model)
            if prompts is None:
                prompts = self._prompts[model] = _Prompts()
            prompts.learn(usage.prompt_tokens, call.sized_tokens)
        if bound == 0:  # embeddings and the like say nothing about how long a chat will be
            return
        # Bounds of like size are one kind: who asks for at most 16 tokens gets other answers than who asks for 4,096.
        kind = (model, key, -1 if bound is None else bound.bit_length())
        own = self._kinds.get(kind)
        if own is None:
            own = self._lengths(kind)
        own.add(usage.completion_tokens, bound)
        # Of somebody who is well known everybody learns a sample.
        if own.added < REMEMBERED or own.added % _SAMPLE == 0:
            self._kinds.move_to_end(kind)
            self._lengths((model, "", kind[2])).add(usage.completion_tokens, bound)

    def _lengths(self, kind: _Kind) -> AnswerLengths:
        lengths = self._kinds.get(kind)
        if lengths is None:
            lengths = self._kinds[kind] = AnswerLengths()
            if len(self._kinds) > _MOST_KINDS:
                self._kinds.popitem(last=False)
        else:
            self._kinds.move_to_end(kind)
        return lengths
