"""One JSON line for each request on standard output. Never a prompt, never a key."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from dataclasses import dataclass

import orjson

from gateway.call import Usage

# One batch is what 0.1 s brought; so the reader may be 10 s late before lines are lost.
MAX_BATCHES = 100
LAST_WRITE_S = 1.0


@dataclass(slots=True)
class Visit:
    """What became of one request.

    ``key``: the name of its key. ``model``: empty unless a configured one. ``ttft``: seconds, of streams only.
    ``waited``: seconds in the queue, None if it never got out of it. ``limit``: which one refused it.
    ``stage``: how far it came: queued, waiting for the first byte, streaming.
    """

    request_id: str
    endpoint: str
    key: str = ""
    model: str = ""
    engine: str = ""
    outcome: str = "internal"
    ttft: float | None = None
    waited: float | None = None
    limit: str = ""
    stage: str = ""
    usage: Usage | None = None


class AccessLog:
    """Gathers lines; a thread of its own writes them, so that a request never waits for whoever reads the log.

    When that reader is too slow lines are dropped, and a line says how many.
    """

    def __init__(self, fd: int, enabled: bool) -> None:
        self._fd = fd
        self.enabled = enabled
        self._lines: list[bytes] = []
        self._dropped = 0
        self._batches: queue.Queue[bytes | None] = queue.Queue(MAX_BATCHES)
        self._writer = threading.Thread(target=self._write, name="access-log", daemon=True)

    def start(self) -> None:
        self._writer.start()

    def add(self, visit: Visit, status: int, seconds: float) -> None:
        if not self.enabled:
            return
        line: dict[str, object] = {
            "time": round(time.time(), 3),
            "request_id": visit.request_id,
            "endpoint": visit.endpoint,
            "key": visit.key,
            "model": visit.model,
            "engine": visit.engine,
            "status": status,
            "outcome": visit.outcome,
            "ms": round(seconds * 1000, 1),
        }
        if visit.ttft is not None:
            line["ttft_ms"] = round(visit.ttft * 1000, 1)
        if visit.waited is not None:
            line["waited_ms"] = round(visit.waited * 1000, 1)
        if visit.stage:
            line["stage"] = visit.stage
        if visit.limit:
            line["limit"] = visit.limit
        if (usage := visit.usage) is not None:
            line["prompt_tokens"] = usage.prompt_tokens
            line["cached_tokens"] = usage.cached_tokens
            line["completion_tokens"] = usage.completion_tokens
            line["exact"] = usage.exact
        self._lines.append(orjson.dumps(line))

    def flush(self) -> None:
        """Hand over what has gathered; never blocks."""
        if not self._lines:
            return
        if self._dropped:
            self._lines.append(orjson.dumps({"time": round(time.time(), 3), "lines_dropped": self._dropped}))
        try:
            self._batches.put_nowait(b"\n".join(self._lines) + b"\n")
            self._dropped = 0
        except queue.Full:
            self._dropped += len(self._lines)
        self._lines.clear()

    def stop(self) -> None:
        """Write what is left, unless nobody reads it."""
        self.flush()
        with contextlib.suppress(queue.Full):
            self._batches.put_nowait(None)
        self._writer.join(LAST_WRITE_S)

    def _write(self) -> None:
        while (batch := self._batches.get()) is not None:
            # Not through sys.stdout: its lock, held by a thread that is stuck in a write, would hang the exit.
            try:
                while batch:
                    batch = batch[os.write(self._fd, batch) :]
            except OSError:  # a full disk, a reader that has gone: these lines are lost, later ones may not be
                self._dropped += batch.count(b"\n")
