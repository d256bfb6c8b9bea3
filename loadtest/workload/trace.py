"""The source that asks for what a trace says: how long prompts and answers are, what prompts share, and when they come.

Its texts are made up. Prompts begin alike where the trace says that they did: by the ids of their blocks, or by the
tokens that were found in the prefix cache, which then are the beginning of their group's text. With `--mode replay`
requests come at the trace's own times, or faster by `--rates`; in any other mode users and rates decide, and only the
lengths are the trace's.
"""

from __future__ import annotations

import hashlib
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, Self

from common import text_file, trace_file
from common.trace_file import Trace, TracedRequest
from loadtest.core.errors import UsageProblem
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

OPTION = "--trace"
_KIND = "request"
_MOST = 1000  # requests, unless told otherwise
# A longer time without a request is a hole of the recording, and nothing to wait through.
_MOST_PAUSE_S = 600.0


@dataclass(frozen=True, slots=True)
class TraceChoice:
    """Which part of which file. `context`: tokens of prompt and answer; longer requests are left out."""

    path: Path
    most: int = _MOST
    context: int | None = None
    max_tokens: int | None = None
    part: str | None = None


@dataclass(frozen=True, slots=True)
class TraceSource:
    """Sent to another process it is the choice alone: the file is read there again, and must be the same."""

    choice: TraceChoice
    digest: str
    trace: Trace = field(repr=False, compare=False)
    tokens_per_word: float = 1.0
    overhead_tokens: float = 0.0

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self.choice, self.digest, self.tokens_per_word, self.overhead_tokens)

    @property
    def name(self) -> str:
        return f"{self.choice.path.name} ({self.digest[:8]})"

    @property
    def description(self) -> str:
        few = "" if self.trace.whole else "the first "
        return f"{few}{len(self.trace.requests)} requests of the trace {self.choice.path.name}"

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
        asked = self.trace.requests
        return Lengths(max(one.prompt_tokens for one in asked), max(one.output_tokens for one in asked), exact=True)

    def calibrated(self, tokens_per_word: float, overhead_tokens: float) -> Self:
        return replace(self, tokens_per_word=tokens_per_word, overhead_tokens=overhead_tokens)

    def conversation(self, place: Place, run: RunTexts) -> Conversation:
        """One request after the other over all users of a stage, from the first again after the last."""
        number = place.number if place.users is None else place.index * place.users + place.number
        count = len(self.trace.requests)
        asked = self.trace.requests[number % count]
        where = f"{place.stage}/pass {number // count}"
        return Conversation(_KIND, 1, partial(self._turn, asked, where, f"{place.label}", run))

    def starts(self, speed: float) -> list[float]:
        """When each comes, seconds; UsageProblem for a pause that is a hole."""
        pause, after = self.trace.longest_pause
        if pause / speed > _MOST_PAUSE_S:
            raise UsageProblem(
                f"{OPTION} {self.choice.path}: {pause:,.0f} s without a request after request {after}; cut the file "
                f"there, or replay it faster: --rates {pause / _MOST_PAUSE_S:.0f}"
            )
        return [one.at_s / speed for one in self.trace.requests]

    def describe(self) -> dict[str, Any]:
        asked = self.trace.requests
        shared = fmean(one.cached_tokens / one.prompt_tokens for one in trace_file.with_cached(asked))
        return {
            "source": "trace",
            "kinds": [{"name": _KIND}],
            "file": self.choice.path.name,
            "sha256": self.digest,
            "requests": len(asked),
            "left_out": self.trace.left_out,
            "whole_file": self.trace.whole,
            "seconds": round(asked[-1].at_s, 3),
            "shared": round(shared, 4),
            "prompt_words": {_KIND: self._words(fmean(one.prompt_tokens for one in asked))},
            "output_tokens": "as the trace says" if self.choice.max_tokens is None else "fixed",
            "prefix_cache": "nothing is served from an earlier run, stage, side or pass over the file; what "
            f"prompts of the trace share ({shared:.0%} of their tokens) can be",
        }

    def _words(self, tokens: float) -> int:
        return max(1, round(tokens / self.tokens_per_word))

    def _turn(self, asked: TracedRequest, where: str, label: str, run: RunTexts, _number: int) -> Turn:
        texts, left = [], max(1.0, asked.prompt_tokens - self.overhead_tokens)
        for block in asked.blocks:
            took = min(float(asked.block_tokens), left)
            if took >= 1:
                texts.append(run.text(f"{where}/block {block}", self._words(took)))
            left -= took
        if asked.cached_tokens:
            texts.append(run.text(f"{where}/group {asked.group}", self._words(asked.cached_tokens)))
            left -= asked.cached_tokens
        if left >= 1 or not texts:
            texts.append(run.text(label, self._words(left)))
        return Turn([{"role": "user", "content": " ".join(texts)}], asked.output_tokens)


def read_trace(choice: TraceChoice) -> TraceSource:
    """UsageProblem, in one line, when the file is not fit."""
    if not choice.path.is_file():  # a pipe or a device has no end, and another process could not read it again
        why = "not a file; name a file" if choice.path.exists() else "no such file"
        raise UsageProblem(f"{OPTION} {choice.path}: {why}")
    try:
        read = trace_file.read(choice.path, choice.most)
    except text_file.FileFault as fault:
        raise UsageProblem(f"{OPTION} {choice.path}: {fault}") from None
    asked = tuple(_fitting(read.requests, choice))
    if not asked:
        raise UsageProblem(f"{OPTION} {choice.path}: no request fits --trace-context {choice.context} and --part")
    left_out = read.left_out + sum(not _fits(one, choice) for one in read.requests)
    said = hashlib.sha256(repr((choice.part, asked)).encode()).hexdigest()
    return TraceSource(choice, said, Trace(asked, read.whole, left_out))


def _fits(asked: TracedRequest, choice: TraceChoice) -> bool:
    output = choice.max_tokens or asked.output_tokens
    return choice.context is None or asked.prompt_tokens + output <= choice.context


def _fitting(asked: Sequence[TracedRequest], choice: TraceChoice) -> list[TracedRequest]:
    fits = [replace(one, output_tokens=choice.max_tokens or one.output_tokens) for one in asked if _fits(one, choice)]
    return [one for number, one in enumerate(fits) if in_part(number, choice.part)]


def _reopened(choice: TraceChoice, digest: str, tokens_per_word: float, overhead_tokens: float) -> TraceSource:
    made = read_trace(choice)
    if made.digest != digest:
        raise UsageProblem(
            f"{OPTION} {choice.path}: the file has changed since the run began; run again, and leave it unchanged"
        )
    return made.calibrated(tokens_per_word, overhead_tokens)


def _of_options(_: WorkloadFile, options: Namespace) -> TraceSource:
    if options.prompt_tokens:
        raise UsageProblem(
            f"--prompt-tokens: with {OPTION} the file decides; use --trace-context to leave long ones out"
        )
    return read_trace(
        TraceChoice(
            Path(options.trace).resolve(),
            options.trace_limit or _MOST,
            options.trace_context,
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
            "ask as a trace says (`loadtest record`, Mooncake, Azure): lengths, what prompts share, times",
        ),
        SourceOption("--trace-limit", "N", f"number of requests to take from it (default {_MOST})", whole_number),
        SourceOption("--trace-context", "N", "leave out requests of more than N tokens in all", whole_number),
    ],
)
