"""What /proc says of processes: whether one is still the one that was started, and who is in its group."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
# Of /proc/PID/stat, counted after the name in brackets: state, parent, group, session, …; the 20th is the start.
_STATE, _GROUP, _SESSION, _STARTED = 0, 2, 3, 19
_ENDED = frozenset("ZX")


@dataclass(frozen=True)
class ProcessSeen:
    """``started``: clock ticks since boot; together with its id it names a process once and for all."""

    pid: int
    group: int
    session: int
    started: int


def see(pid: int) -> ProcessSeen | None:
    """A process that lives; None for one that is gone or has ended and is only still listed."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    if len(fields) <= _STARTED or fields[_STATE] in _ENDED:
        return None
    return ProcessSeen(pid, int(fields[_GROUP]), int(fields[_SESSION]), int(fields[_STARTED]))


def group(leader: int, started: int) -> list[int]:
    """All living processes of the group and session that ``leader`` began, whether it lives itself or not."""
    found = []
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (one := see(int(entry.name))) is not None:
            # A later process with the same id would have begun another group, so nobody in it is older than it.
            if leader in (one.group, one.session) and one.started >= started:
                found.append(one.pid)
    return found


def signal_all(pids: list[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def reap(leader: int) -> None:
    """Take note of ended children of the group: where the launcher is a container's first process, orphans are its."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-leader, os.WNOHANG)[0]:
            pass
