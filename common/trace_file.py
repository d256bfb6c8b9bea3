"""Traces of requests: when each came and how long it was, never what it said. Four shapes, a request a line.

    ours       {"at_s": 0.5, "prompt_tokens": 660, "output_tokens": 150, "cached_tokens": 600, "group": 1, "model": "m"}
    Mooncake   {"timestamp": 500, "input_length": 6758, "output_length": 500, "hash_ids": [0, 1]}    ms; 512 tokens each
    Azure      TIMESTAMP,ContextTokens,GeneratedTokens, then 2023-11-16 18:17:03.9799600,4808,10
    gateway    a line of its access log; lines of other requests are left out

A file may have any length: it is read line by line, and no further than requests are wanted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from common.printable import one_line
from common.text_file import FileFault

_MOST_LINE = 1 << 20  # bytes
_MOST_TOKENS = 10_000_000
_LATEST_S = 1e13  # a trace may count from 1970, in milliseconds at worst
_MOONCAKE_BLOCK = 512
_AZURE = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
_OURS = "write at_s, prompt_tokens and output_tokens"


@dataclass(frozen=True, slots=True)
class TracedRequest:
    """Seconds since the first; tokens. `cached`: of the prompt, shared with earlier requests of the same `group`.

    `blocks`: ids of the prompt's pieces of `block_tokens`, the same for the same beginning of a prompt.
    """

    at_s: float
    prompt_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    group: int = 0
    model: str = ""
    blocks: tuple[int, ...] = ()
    block_tokens: int = 0


@dataclass(frozen=True)
class Trace:
    """In the order of their times. `whole`: the file has no others; `left_out`: lines that are no request."""

    requests: tuple[TracedRequest, ...]
    whole: bool
    left_out: int = 0

    @property
    def longest_pause(self) -> tuple[float, int]:
        """Seconds, and after how many requests."""
        times = [one.at_s for one in self.requests]
        return max(((b - a, n) for n, (a, b) in enumerate(zip(times, times[1:], strict=False), 1)), default=(0.0, 0))


def read(path: Path, most: int) -> Trace:
    """At most so many requests. FileFault, in one line with its number, for a line that is none."""
    found: list[TracedRequest] = []
    left_out, whole = 0, True
    try:
        with path.open("rb") as file:
            for one in requests(file):
                if one is None:
                    left_out += 1
                elif len(found) == most:
                    whole = False
                    break
                else:
                    found.append(one)
    except OSError as error:
        raise FileFault(error.strerror or str(error)) from None
    if not found:
        raise FileFault(f"no request in it; {_OURS} in each line")
    first = min(one.at_s for one in found)
    ordered = sorted((replace(one, at_s=one.at_s - first) for one in found), key=lambda one: one.at_s)
    return Trace(tuple(ordered), whole, left_out)


def requests(file: BinaryIO) -> Iterator[TracedRequest | None]:
    """One by one, None for a line of an access log that is no answered request."""
    parse: Callable[[str, str], TracedRequest | None] | None = None
    for number, text in _lines(file):
        where = f"line {number}"
        if parse is None:
            if _is_azure(text):
                parse = _azure
                continue
            parse = _json
        yield parse(text, where)


def _lines(file: BinaryIO) -> Iterator[tuple[int, str]]:
    """Lines that are not empty, with their numbers, none of them long."""
    number = 0
    while line := file.readline(_MOST_LINE + 1):
        number += 1
        if len(line) > _MOST_LINE:
            raise FileFault(f"line {number}: longer than {_MOST_LINE >> 20} MiB; a trace has one request a line")
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError:
            raise FileFault(f"line {number}: is no text in UTF-8") from None
        if text:
            yield number, text


def _json(line: str, where: str) -> TracedRequest | None:
    try:
        said: Any = json.loads(line)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise FileFault(f"{where}: is no JSON object; {_OURS}")
    if "input_length" in said:
        return _mooncake(said, where)
    if "request_id" in said and "outcome" in said:
        return of_access_log(said)
    return _ours(said, where)


def _ours(said: Mapping[str, Any], where: str) -> TracedRequest:
    prompt, output = _tokens(said, "prompt_tokens", where), _tokens(said, "output_tokens", where)
    cached = _tokens(said, "cached_tokens", where, 0)
    if cached > prompt:
        raise FileFault(f"{where}: cached_tokens: {cached}: more than the {prompt} of prompt_tokens")
    at = _time(said.get("at_s"), f"{where}: at_s", "seconds")
    model = said.get("model", "")
    if not isinstance(model, str):
        raise FileFault(f"{where}: model: {one_line(repr(model), 60)}: write a text")
    return TracedRequest(at, prompt, output, cached, _tokens(said, "group", where, 0), model)


def _mooncake(said: Mapping[str, Any], where: str) -> TracedRequest:
    at = _time(said.get("timestamp"), f"{where}: timestamp", "milliseconds") / 1000
    prompt, output = _tokens(said, "input_length", where), _tokens(said, "output_length", where)
    ids = said.get("hash_ids", [])
    if not isinstance(ids, list) or not all(isinstance(one, int) and not isinstance(one, bool) for one in ids):
        raise FileFault(f"{where}: hash_ids: write a list of whole numbers")
    return TracedRequest(at, prompt, output, blocks=tuple(ids), block_tokens=_MOONCAKE_BLOCK)


def of_access_log(said: Mapping[str, Any]) -> TracedRequest | None:
    """Of a line of the gateway's access log, from when it was sent; None where no answer was counted."""
    try:
        tokens = [int(said[name]) for name in ("prompt_tokens", "completion_tokens", "cached_tokens")]
        at = float(said["time"]) - float(said["ms"]) / 1000
    except (KeyError, TypeError, ValueError):
        return None
    prompt, output, cached = tokens
    if said.get("status") != 200 or prompt < 1 or output < 1 or not 0 <= cached <= prompt or not 0 <= at <= _LATEST_S:
        return None
    return TracedRequest(at, prompt, output, cached, model=str(said.get("model") or ""))


def _is_azure(line: str) -> bool:
    return set(_AZURE) <= {name.strip() for name in line.split(",")} and line.split(",")[0].strip() == _AZURE[0]


def _azure(line: str, where: str) -> TracedRequest:
    parts = line.split(",")
    if len(parts) < len(_AZURE):
        raise FileFault(f"{where}: write {','.join(_AZURE)}")
    try:
        at = datetime.fromisoformat(parts[0].strip()).timestamp()
    except ValueError:
        raise FileFault(f"{where}: TIMESTAMP: {one_line(parts[0], 60)!r}: write a date and a time") from None
    counts = {name: _count(text) for name, text in zip(_AZURE[1:], parts[1:], strict=False)}
    return TracedRequest(at, _tokens(counts, "ContextTokens", where), _tokens(counts, "GeneratedTokens", where))


def _count(text: str) -> Any:
    """A number where it is one; anything else as it stands, to be told of."""
    return int(text) if text.strip().isdecimal() and len(text) < 12 else text.strip()


def _time(value: Any, what: str, unit: str) -> float:
    fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not fits or not 0 <= value <= _LATEST_S:
        raise FileFault(f"{what}: {one_line(repr(value), 60)}: write {unit} since the beginning, 0 or more")
    return float(value)


def _tokens(said: Mapping[str, Any], name: str, where: str, least: int = 1) -> int:
    value = said.get(name, 0 if least == 0 else None)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= _MOST_TOKENS:
        told = one_line(repr(value), 60)
        raise FileFault(f"{where}: {name}: {told}: write a whole number from {least} to {_MOST_TOKENS:,}")
    return value


def with_cached(found: Iterable[TracedRequest]) -> Iterator[TracedRequest]:
    """With what an engine that forgets nothing would find of each prompt, where its blocks say so."""
    seen: set[int] = set()
    for one in found:
        known = 0
        while known < len(one.blocks) and one.blocks[known] in seen:
            known += 1
        seen.update(one.blocks)
        shared = min(known * one.block_tokens, one.prompt_tokens - 1)
        yield replace(one, cached_tokens=shared) if one.blocks else one
