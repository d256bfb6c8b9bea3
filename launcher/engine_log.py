"""An engine's log: a file that it writes itself, so that it can go on when the launcher is gone."""

from __future__ import annotations

import os
import re
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

LINES, LINE_CHARS = 40, 500
# Begun anew at this size; what was in it has been said on the launcher's own output.
MAX_BYTES = 32 * 1024 * 1024
_PIECE = 256 * 1024
_LAST = 16 * 1024
# An error is looked for in so many last lines: two processes' tracebacks stand after the cause.
_TOLD_LINES = 200
# vLLM's "(EngineCore pid=1) ERROR 11-23 15:12:23 [core.py:1510] " before a line.
_PREFIX = re.compile(r"^\([^)]*\) (?:[A-Z]+ \S+ \S+ \[[^\]]*\] )?")
_ERROR = re.compile(r"^(?:[\w.]+(?:Error|Exception): |Value error, |\S+(?: \w+)?: (?:fatal )?error: ).+")
# What says that there was an error elsewhere.
_VAGUE = re.compile(r"initialization failed|EngineDeadError|validation errors? for \w+$")


class EngineLog:
    """``tail``: its last lines. ``say`` gets each new line."""

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        self.path = path
        self.tail: deque[str] = deque(maxlen=LINES)
        self._told: deque[str] = deque(maxlen=_TOLD_LINES)  # of each line its error, or nothing
        self._say = say
        self._at = 0
        self._half = b""
        self._lock = threading.Lock()

    def begin(self) -> int:
        """A new engine writes from here on; returns the descriptor to write to, which the caller closes."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC, 0o600)
        with self._lock:
            self.tail.clear()
            self._told.clear()
            self._at, self._half = 0, b""
        return descriptor

    @property
    def cause(self) -> str:
        """The last error of its last lines, rather one that says what was wrong; empty if there is none."""
        found = [error for error in list(self._told) if error]
        telling = [error for error in found if not _VAGUE.search(error)]
        return (telling or found or [""])[-1]

    def resume(self) -> None:
        """An engine of before goes on writing: read from shortly before its end."""
        try:
            self._at = max(0, self.path.stat().st_size - _LAST)
        except FileNotFoundError:
            self._at = 0

    def read(self) -> None:
        """Take in what has been written since."""
        try:
            with self._lock, self.path.open("r+b") as file:
                file.seek(self._at)
                while data := file.read(_PIECE):
                    self._at += len(data)
                    self._take(data)
                if self._at > MAX_BYTES:  # it appends, so it goes on at the new end
                    file.truncate(0)
                    self._at = 0
        except FileNotFoundError:
            return

    def _take(self, data: bytes) -> None:
        *lines, self._half = (self._half + data).split(b"\n")
        self._half = self._half[-_PIECE:]
        for line in lines:
            text = line.decode("utf-8", "replace").rstrip("\r")
            self.tail.append(text[:LINE_CHARS])
            error = _ERROR.match(_PREFIX.sub("", text).strip())
            self._told.append(error[0][:LINE_CHARS] if error else "")
            self._say(text)
