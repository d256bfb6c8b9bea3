"""Loads: users that ask one thing after the other, requests that come at a rate, or as a file says."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from common import text_file, trace_file
from fullbatch.core.errors import UsageError
from fullbatch.simulate.request import LoadRequest

# Of a trace file; more says nothing more and takes minutes.
MOST_REQUESTS = 200_000


@dataclass(frozen=True)
class SimulatedLoad:
    """`users`: what each asks, one after the other, all from second 0 on. `arrivals`: when else something comes."""

    users: tuple[tuple[LoadRequest, ...], ...] = ()
    arrivals: tuple[tuple[float, LoadRequest], ...] = ()


def closed(users: int, each: int, prompt: int, output: int, cached: int = 0) -> SimulatedLoad:
    """`users` at once, each with its next request when it has the answer to the last."""
    return SimulatedLoad(users=((LoadRequest(prompt, output, cached),) * each,) * users)


def at_rate(per_s: float, seconds: float, prompt: int, output: int, seed: int = 1) -> SimulatedLoad:
    """Poisson arrivals, whether or not earlier ones have ended."""
    source, now, found = random.Random(seed), 0.0, []
    while (now := now + source.expovariate(per_s)) < seconds:
        found.append((now, LoadRequest(prompt, output)))
    return SimulatedLoad(arrivals=tuple(found))


def trace(path: Path) -> SimulatedLoad:
    """Any trace that `common.trace_file` reads; of prompts whose blocks are known, all that came before is cached.

    Raises:
        UsageError: a line that is none, with its number.
    """
    try:
        found = trace_file.read(path, MOST_REQUESTS)
    except text_file.FileFault as fault:
        raise UsageError(f"{path}: {fault}") from None
    if not found.whole:
        raise UsageError(f"{path}: more than {MOST_REQUESTS:,} requests; cut it")
    return SimulatedLoad(
        arrivals=tuple(
            (one.at_s, LoadRequest(one.prompt_tokens, one.output_tokens, one.cached_tokens))
            for one in trace_file.with_cached(found.requests)
        )
    )
