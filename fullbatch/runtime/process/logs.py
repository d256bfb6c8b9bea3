"""The logs that processes write."""

from __future__ import annotations

from pathlib import Path

LOG_TAIL_BYTES = 256 * 1024


def tail(path: Path, lines: int) -> list[str]:
    """The last `lines` of a log file; empty when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return text.splitlines()[-lines:]
