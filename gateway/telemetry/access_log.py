"""One JSON line for each request on standard output. Never a prompt, never a key."""

from __future__ import annotations

import os
import queue
import time

import orjson

from gateway.core.record import RequestRecord
from gateway.core.supervisor import Supervisor

# Lines are handed over in pieces of this size: what 0.1 s brings at full load would be ten times as much.
PIECE_BYTES = 64 * 1024
# What may wait for a slow reader before lines are lost: about 30,000 of them.
MAX_WAITING_BYTES = 8 * 1024 * 1024
LAST_WRITE_S = 1.0


class AccessLog:
    """Gathers lines; a thread of its own writes them, so that a request never waits for whoever reads the log.

    When that reader is too slow lines are dropped, and a line says how many.
    """

    def __init__(self, fd: int, enabled: bool, supervisor: Supervisor) -> None:
        self._fd = fd
        self.enabled = enabled
        self._lines = bytearray()
        self._pieces: queue.SimpleQueue[bytearray | None] = queue.SimpleQueue()
        self._writer = supervisor.thread("access_log", self._write)
        # Each is counted by one thread only: bytes handed over and done with; lines dropped by either, and told of.
        self._given = 0
        self._done = 0
        self._dropped = 0
        self._failed = 0
        self._told = 0

    def start(self) -> None:
        self._writer.start()

    def add(self, record: RequestRecord, status: int, seconds: float) -> None:
        if not self.enabled:
            return
        line: dict[str, object] = {
            "time": int(time.time() * 1e3 + 0.5) / 1e3,
            "request_id": record.id,
            "endpoint": record.endpoint,
            "key": record.principal.name,
            "model": record.model,
            "engine": record.engine,
            "status": status,
            "outcome": record.outcome,
            "ms": int(seconds * 1e4 + 0.5) / 10,  # as `_ms`, which costs a call
        }
        if record.address:
            line["address"] = record.address
        if record.error:
            line["error"] = record.error
        if record.ttft is not None:
            line["ttft_ms"] = _ms(record.ttft)
        if record.waited is not None:
            line["waited_ms"] = _ms(record.waited) if record.waited else 0.0
        if record.stage:
            line["stage"] = record.stage
        if record.limit:
            line["limit"] = record.limit
        if (usage := record.usage) is not None:
            line["prompt_tokens"] = usage.prompt_tokens
            line["cached_tokens"] = usage.cached_tokens
            line["completion_tokens"] = usage.completion_tokens
            line["exact"] = usage.exact
        self._lines += orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
        if len(self._lines) > PIECE_BYTES:
            self.flush()

    @property
    def waiting(self) -> int:
        """Bytes handed over and not written yet."""
        return self._given - self._done

    def flush(self) -> None:
        """Hand over what has gathered; never blocks."""
        piece = self._lines
        if not piece:
            return
        self._lines = bytearray()
        if self.waiting > MAX_WAITING_BYTES:
            self._dropped += piece.count(b"\n")
            return
        dropped = self._dropped + self._failed
        if dropped > self._told:
            lost = {"time": round(time.time(), 3), "lines_dropped": dropped - self._told}
            piece += orjson.dumps(lost, option=orjson.OPT_APPEND_NEWLINE)
            self._told = dropped
        self._given += len(piece)
        self._pieces.put(piece)

    def stop(self) -> None:
        """Write what is left, unless nobody reads it."""
        self.flush()
        self._pieces.put(None)
        self._writer.join(LAST_WRITE_S)

    def _write(self) -> None:
        while (piece := self._pieces.get()) is not None:
            # Not through sys.stdout: its lock, held by a thread that is stuck in a write, would hang the exit.
            rest = memoryview(piece)
            try:
                while rest:
                    # In a line of its own: mypyc evaluates a slice's begin twice, so each line would be written twice.
                    written = os.write(self._fd, rest)
                    rest = rest[written:]
            except OSError:  # a full disk, a reader that has gone: these lines are lost, later ones may not be
                self._failed += bytes(rest).count(b"\n")
            finally:
                self._done += len(piece)


def _ms(seconds: float) -> float:
    """Milliseconds with one decimal; `round` goes by way of the number's text, which takes five times as long."""
    return int(seconds * 1e4 + 0.5) / 10
