"""The load of a race: what the load test is told, and about how long its requests are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from common import text_file, trace_file, yaml_file
from fullbatch.core.errors import UsageError
from fullbatch.simulate.request import LoadRequest
from fullbatch.tune.bench import RaceLoad

_SHIPPED = Path("loadtest/workload/shipped")
# Of one load, in all: the 95th percentile of fewer is their worst.
_REQUESTS = 24
# What the load that is kept back has of prompts and answers (loadtest/workload/schema.py: held_out).
HELD_OUT = (1.25, 0.8)
_FIRST_PIECE = 1 << 16
_MOST_WEIGHT = 10_000
# Of a trace: as many as the load test takes of it.
_MOST_TRACED = 1000


@dataclass(frozen=True)
class TuneLoad:
    """`words`: workload or file, for the load test. `typical`: one request, None where only the file knows."""

    words: tuple[str, ...]
    typical: LoadRequest | None
    requests_per_user: int = 2

    def words_for(self, load: RaceLoad) -> list[str]:
        """The load test's words for one load."""
        each = max(self.requests_per_user, -(-_REQUESTS // load.users))
        part = "held-out" if load.held_out else "tuned"
        return [*self.words, "--part", part, "--users", str(load.users), "--requests-per-user", str(each)]


def read(root: Path, wanted: str, lengths: Mapping[str, int | None], each: int, context: int) -> TuneLoad:
    """A workload by name or file, conversations or a trace. `lengths`: what options say of them.

    What of a file is longer than `context` tokens is left out.

    Raises:
        UsageError: there is none, or it is no such file. What else is in it the load test checks.
    """
    options = [word for name, value in lengths.items() if value for word in (f"--{name}", str(value))]
    path = Path(wanted)
    if path.suffix in (".yaml", ".yml") or "/" not in wanted and not path.exists():
        shipped = root / _SHIPPED / f"{wanted}.yaml"
        file = path if path.suffix in (".yaml", ".yml") else shipped
        return TuneLoad(("--workload", wanted, "--mode", "closed", *options), _typical(file, wanted, lengths), each)
    option = "--dataset" if _is_dataset(path) else "--trace"
    typical = None if option == "--dataset" else _typical_of_trace(path, context)
    words = (option, str(path.resolve()), f"{option}-context", str(context), "--mode", "closed", *options)
    return TuneLoad(words, typical, each)


def _typical_of_trace(path: Path, context: int) -> LoadRequest:
    """The mean of those that fit."""
    try:
        read = trace_file.read(path, _MOST_TRACED)
    except text_file.FileFault as fault:
        raise UsageError(f"--workload {path}: {fault}") from None
    found = [one for one in trace_file.with_cached(read.requests) if one.prompt_tokens + one.output_tokens <= context]
    if not found:
        raise UsageError(f"--workload {path}: none of its requests fits the context of {context:,} tokens")
    return _mean([LoadRequest(one.prompt_tokens, one.output_tokens, one.cached_tokens) for one in found])


def _mean(found: Sequence[LoadRequest]) -> LoadRequest:
    return LoadRequest(
        round(fmean(one.prompt for one in found)),
        round(fmean(one.output for one in found)),
        round(fmean(one.cached for one in found)),
    )


def _typical(path: Path, wanted: str, lengths: Mapping[str, int | None]) -> LoadRequest:
    """The mean of its kinds, by their weights."""
    if not path.exists():
        known = ", ".join(sorted(one.stem for one in path.parent.glob("*.yaml")))
        raise UsageError(
            f"--workload: there is no '{wanted}'; give {known or 'the name of one'}, or the path of a file"
        )
    try:
        content: Any = yaml_file.load(path)
        kinds = [(int(kind.get("weight", 1)), _request(kind, lengths)) for kind in content["kinds"]]
        shares = [one for weight, one in kinds for _ in range(min(weight, _MOST_WEIGHT))]
        return _mean(shares)
    except text_file.FileFault as fault:
        raise UsageError(f"--workload {path}: {fault}") from None
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UsageError(f"--workload {path}: write a mapping with version, description and kinds") from None


def _request(kind: Mapping[str, Any], lengths: Mapping[str, int | None]) -> LoadRequest:
    own = int(lengths.get("prompt-tokens") or kind["prompt_tokens"])
    shared = int(kind.get("system_tokens", 0)) + int(kind.get("document_tokens", 0))
    return LoadRequest(own + shared, int(lengths.get("max-tokens") or kind["output_tokens"]), shared)


def _is_dataset(path: Path) -> bool:
    """Whether its first object is a conversation."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            piece = file.read(_FIRST_PIECE)
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "is no text in UTF-8"
        raise UsageError(f"--workload {path}: {why}; give a workload's name or a file") from error
    begins = piece.lstrip().removeprefix("[").lstrip()
    try:
        found, _ = json.JSONDecoder().raw_decode(begins)
    except ValueError:
        return '"messages"' in begins or '"conversations"' in begins
    return isinstance(found, dict) and bool(found.keys() & {"messages", "conversations"})
