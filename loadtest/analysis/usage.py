"""Sums of tokens as the engine counted them, from `usage` at the end of each answer. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loadtest.client.record import Record


@dataclass(frozen=True, slots=True)
class UsageTotals:
    """Of all requests that told their usage, good or not: the engine worked for both."""

    requests: int
    prompt_tokens: int
    cached_tokens: int | None  # of the prompt tokens; None where no answer said it
    completion_tokens: int


def usage_totals(records: Sequence[Record]) -> UsageTotals:
    told = [record.answer.usage for record in records if record.answer.usage is not None]
    cached = [usage.cached for usage in told if usage.cached is not None]
    return UsageTotals(
        requests=len(told),
        prompt_tokens=sum(usage.prompt for usage in told),
        cached_tokens=sum(cached) if cached else None,
        completion_tokens=sum(usage.output for usage in told),
    )
