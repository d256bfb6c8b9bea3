"""What is running, on disk: so that a launcher that was killed finds its engines again and starts nothing twice."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


class SocketTaken(Exception):
    """Another launcher works in this folder."""


@dataclass(frozen=True)
class LedgerLine:
    """A process. ``started``: see `processes.ProcessSeen`; ``digest``: of its command, ``since``: Unix time."""

    pid: int
    started: int
    digest: str
    secret: str
    since: float


class ProcessLedger:
    """The file, and the lock that keeps a second launcher out for as long as this process lives."""

    def __init__(self, folder: Path) -> None:
        """Raises: SocketTaken, OSError"""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / "running.json"
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise SocketTaken from None

    def read(self) -> dict[str, LedgerLine]:
        """By model; what cannot be read is taken for nothing."""
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        found = {}
        for name, value in content.items() if isinstance(content, dict) else ():
            with contextlib.suppress(TypeError, ValueError):
                found[name] = _running(value)
        return found

    def write(self, running: dict[str, LedgerLine]) -> None:
        """All at once: a launcher that is killed meanwhile leaves the old file or the new one."""
        fresh = self._path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 a descriptor, for its mode
            json.dump({name: asdict(one) for name, one in running.items()}, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)

    def close(self) -> None:
        os.close(self._lock)


def _running(value: Any) -> LedgerLine:
    one = LedgerLine(**value)
    if not isinstance(one.pid, int) or not isinstance(one.started, int) or one.pid <= 1:
        raise ValueError("no process")
    return one
