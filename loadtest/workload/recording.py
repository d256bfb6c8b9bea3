"""Makes a trace of a gateway's access log: times, lengths, what was found in the prefix cache. Never a text or a name.

Whose key a request had becomes a number, in the order in which they first came: prompts of one key may share their
beginning. The log is read line by line, whatever its length; what is no line of it is counted and left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO, TextIO

from common import trace_file

_MOST_LINE = 1 << 20  # bytes; the gateway's lines have hundreds


@dataclass(frozen=True, slots=True)
class Recording:
    """Requests written, lines left out, and from the first request to the last, seconds."""

    requests: int
    left_out: int
    seconds: float


def record(logs: Iterable[BinaryIO], out: TextIO, since: float = 0.0) -> Recording:
    """`since`: seconds from 1970; what was sent before is left out."""
    groups: dict[str, int] = {}
    count, left_out = 0, 0
    first = last = 0.0
    for log in logs:
        while line := log.readline(_MOST_LINE):
            said = _line(line)
            one = trace_file.of_access_log(said) if said else None
            if said is None or one is None or one.at_s < since:
                left_out += bool(line.strip())
                continue
            first = one.at_s if count == 0 else first
            last = max(last, one.at_s)
            group = groups.setdefault(str(said.get("key")), len(groups) + 1)
            out.write(_written(one, max(0.0, one.at_s - first), group))
            count += 1
    return Recording(count, left_out, last - first if count else 0.0)


def _line(line: bytes) -> dict[str, Any] | None:
    """None for what is no line of an access log: the gateway also says when it starts, Compose whose line it is."""
    try:
        said = json.loads(line[line.index(b"{") :])
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _written(one: trace_file.TracedRequest, at_s: float, group: int) -> str:
    said: dict[str, Any] = {
        "at_s": round(at_s, 3),
        "prompt_tokens": one.prompt_tokens,
        "output_tokens": one.output_tokens,
        "cached_tokens": one.cached_tokens,
        "group": group,
    }
    return json.dumps(said | ({"model": one.model} if one.model else {})) + "\n"
