"""The configuration of a run: frozen, checked, and written into the report."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loadtest.analysis.points import Slo
from loadtest.analysis.selfcheck_result import SelfCheck
from loadtest.analysis.verdict import PerformanceTarget
from loadtest.client.token_counts import TokenCounts
from loadtest.core.errors import UsageProblem
from loadtest.core.files import read_text
from loadtest.workload.arrivals import OPEN_LOOP, Arrivals
from loadtest.workload.source import RequestSource

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class ServerSide:
    """One server of a run. The keys are not in its `repr`, and never in a report."""

    name: str
    base_url: str
    model: str  # empty: the only one that the server lists
    keys: tuple[str | None, ...] = field(default=(None,), repr=False)
    engine_metrics: tuple[str, ...] = ()
    pids: tuple[int, ...] = ()
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunConfig:
    """Times in seconds. `patience`: how long a request may wait in all for `Retry-After`; 0: a refusal is final."""

    sides: tuple[ServerSide, ...]
    source: RequestSource
    arrivals: Arrivals
    out: Path
    repeats: int = 1
    warmup: int = 2
    sample_interval: float = 1.0
    first_token_timeout: float = 600.0
    stall_timeout: float = 120.0
    patience: float = 0.0
    max_lag_ms: float | None = None
    selfcheck: SelfCheck | None = None
    processes: int = 1
    token_counts: TokenCounts = "auto"
    meta: dict[str, Any] = field(default_factory=dict)
    targets: tuple[PerformanceTarget, ...] = ()
    slo: Slo | None = None

    def arguments(self) -> dict[str, Any]:
        """What the report keeps: everything that shapes the numbers."""
        names = "repeats warmup sample_interval first_token_timeout stall_timeout patience max_lag_ms processes".split()
        return {
            "base_url": " and ".join(side.base_url for side in self.sides),
            "model": " and ".join(dict.fromkeys(side.model for side in self.sides)),
            "workload": self.source.name,
            "users": list(self.arrivals.users) if self.arrivals.mode not in OPEN_LOOP else [],
            "requests_per_user": 1 if self.arrivals.mode == "burst" else self.arrivals.requests_per_user,
            "rates": list(self.arrivals.rates),
            "max_tokens": self.source.lengths.output,
            "prompt_tokens": self.source.lengths.prompt,
            "token_counts": self.token_counts,
            **{name: getattr(self, name) for name in names},
        }


def read_side(text: str) -> ServerSide:
    """`name=url[,model=M][,key-file=F][,metrics=URL][,pid=N][,meta=FILE]`; metrics and pid may be repeated."""
    name, _, rest = text.partition("=")
    url, *parts = rest.split(",")
    if not _NAME.fullmatch(name) or not url:
        raise UsageProblem(
            f"'{text}': write name=url[,model=…,key-file=…,metrics=…,pid=…], with a name of a-z, 0-9, - and _"
        )
    values: dict[str, list[str]] = {known: [] for known in ("model", "key-file", "metrics", "pid", "meta")}
    for part in parts:
        option, equals, value = part.partition("=")
        if option not in values or not equals or not value:
            raise UsageProblem(f"side {name}: '{part}' is not one of {'=…, '.join(values)}=…")
        values[option].append(value)
    twice = [option for option in ("model", "key-file", "meta") if len(values[option]) > 1]
    if twice:
        raise UsageProblem(f"side {name}: {twice[0]} is given twice; give it once")
    if not all(pid.isdecimal() and int(pid) > 0 for pid in values["pid"]):
        raise UsageProblem(f"side {name}: pid={','.join(values['pid'])}: write a whole number above 0")
    return ServerSide(
        name=name,
        base_url=url,
        model="".join(values["model"]),
        keys=read_keys(Path(values["key-file"][0]) if values["key-file"] else None),
        engine_metrics=tuple(values["metrics"]),
        pids=tuple(int(pid) for pid in values["pid"]),
        meta=read_meta(Path(values["meta"][0]) if values["meta"] else None),
    )


def read_key(path: Path | None) -> str | None:
    """The first key of a file."""
    return read_keys(path)[0]


def read_keys(path: Path | None, option: str = "--api-key-file") -> tuple[str | None, ...]:
    """All lines that are neither empty nor a comment, without a name after the key; one None where there is no file."""
    if path is None:
        return (None,)
    if "/" not in str(path) and not path.exists():  # without its name: it may be the key itself
        raise UsageProblem(f"{option}: no such file; give the path of a file with the key, never the key itself")
    lines = [line.split() for line in read_text(path, option).splitlines()]
    words = [each for each in lines if each and not each[0].startswith("#")]
    # Of more than a key and a name it is said that the key holds a blank.
    return checked_keys([each[0] if len(each) <= 2 else " ".join(each) for each in words], f"{option} {path}")


def checked_keys(keys: Sequence[str], where: str) -> tuple[str | None, ...]:
    """UsageProblem for what can be no key. The key itself is not in it."""
    if not all(key.isascii() and key.isprintable() and " " not in key for key in keys):
        raise UsageProblem(
            f"{where}: a key has a blank or a character that no key can have; write one key on each line"
        )
    if not keys:
        raise UsageProblem(f"{where}: no key in it; write one key on each line")
    return tuple(keys)


def read_meta(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        meta = json.loads(read_text(path, "--meta"))
    except (ValueError, RecursionError) as error:  # not JSON, a number of 5,000 digits, 10,000 brackets
        raise UsageProblem(f"--meta {path}: not JSON: {error}") from error
    if not isinstance(meta, dict):
        raise UsageProblem(f"--meta {path}: write a JSON object")
    return meta
