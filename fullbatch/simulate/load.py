"""Loads: users that ask one thing after the other, requests that come at a rate, or as a file says."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fullbatch.core.errors import UsageError
from fullbatch.simulate.request import LoadRequest

# Of a trace file; more says nothing more and takes minutes.
MOST_REQUESTS = 200_000
_MOST_TOKENS = 10_000_000
# A trace may count from 1970, in milliseconds at worst.
_LATEST_S = 1e13


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
    """JSON Lines of `at_s`, `prompt_tokens`, `output_tokens` and, where it is known, `cached_tokens`.

    Raises:
        UsageError: a line that is none, with its number.
    """
    found: list[tuple[float, LoadRequest]] = []
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    found.append(_arrival(line, f"{path}:{number}"))
                if len(found) > MOST_REQUESTS:
                    raise UsageError(f"{path}: more than {MOST_REQUESTS:,} requests; cut it")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {getattr(error, 'strerror', None) or 'is no text in UTF-8'}") from error
    if not found:
        raise UsageError(f"{path}: no request in it; write lines of at_s, prompt_tokens, output_tokens")
    first = min(at for at, _ in found)
    return SimulatedLoad(arrivals=tuple(sorted(((at - first, asked) for at, asked in found), key=lambda one: one[0])))


def _arrival(line: str, where: str) -> tuple[float, LoadRequest]:
    try:
        said: Any = json.loads(line)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise UsageError(f"{where}: is no JSON object; write at_s, prompt_tokens and output_tokens")
    at = said.get("at_s")
    if not isinstance(at, int | float) or isinstance(at, bool) or not 0 <= at <= _LATEST_S:
        raise UsageError(f"{where}: at_s: {at!r}: write seconds since the beginning, 0 or more")
    prompt, output, cached = (_tokens(said, name, where, least) for name, least in _COUNTS)
    if cached > prompt:
        raise UsageError(f"{where}: cached_tokens: {cached}: more than the {prompt} of prompt_tokens")
    return float(at), LoadRequest(prompt, output, cached)


_COUNTS = (("prompt_tokens", 1), ("output_tokens", 1), ("cached_tokens", 0))


def _tokens(said: dict[str, Any], name: str, where: str, least: int) -> int:
    value = said.get(name, 0 if least == 0 else None)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= _MOST_TOKENS:
        raise UsageError(f"{where}: {name}: {value!r}: write a whole number from {least} to {_MOST_TOKENS:,}")
    return value
